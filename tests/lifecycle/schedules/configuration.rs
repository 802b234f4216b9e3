//! `[[arc_backup.schedule]]`: what is accepted, and what is said of what is not.

use super::world::instance;
use crate::support::text;

fn schedule(keys: &str) -> String {
    format!("[[arc_backup.schedule]]\n{keys}\n")
}

/// Guards against: a schedule that never runs as meant, since a mistake in it is not reported.
#[test]
fn each_mistake_names_the_schedule_the_key_and_what_is_allowed() {
    let base = "name = \"nightly\"\ncron = \"0 3 * * *\"\n";
    let with = |keys: &str| schedule(&format!("{base}{keys}"));
    for (case, settings, named) in [
        (
            "no name",
            schedule("cron = \"@daily\""),
            &["number 1", "`name`"][..],
        ),
        (
            "a number",
            schedule("name = 3\ncron = \"@daily\""),
            &["number 1", "not 3"],
        ),
        (
            "capitals",
            schedule("name = \"Nightly\"\ncron = \"@daily\""),
            &["\"Nightly\"", "lower-case"],
        ),
        (
            "twice",
            format!("{}{}", with(""), with("")),
            &["\"nightly\" twice"],
        ),
        (
            "no cron",
            schedule("name = \"nightly\""),
            &["`cron`", "\"nightly\"", "missing", "five fields"],
        ),
        (
            "no fields",
            schedule("name = \"nightly\"\ncron = \"daily\""),
            &["\"daily\"", "five fields", "1 field"],
        ),
        (
            "never",
            schedule("name = \"nightly\"\ncron = \"0 0 30 2 *\""),
            &["\"0 0 30 2 *\"", "never"],
        ),
        (
            "cron of a number",
            schedule("name = \"nightly\"\ncron = 5"),
            &["`cron`", "not 5"],
        ),
        (
            "a zone",
            with("timezone = \"Europe/Berlim\""),
            &["`timezone`", "\"Europe/Berlim\"", "Europe/Berlin"],
        ),
        (
            "a type",
            with("type = \"differential\""),
            &["`type`", "\"differential\"", "\"incremental\""],
        ),
        (
            "a target",
            with("target = \"locla\""),
            &["`target`", "\"locla\"", "did you mean \"local\"?"],
        ),
        (
            "a copy",
            with("copy_to = [\"moon\"]"),
            &["`copy_to`", "\"moon\"", "local"],
        ),
        (
            "a copy to itself",
            with("copy_to = [\"local\"]"),
            &["`copy_to`", "other targets"],
        ),
        (
            "copies as text",
            with("copy_to = \"moon\""),
            &["`copy_to`", "an array", "\"moon\""],
        ),
        (
            "a verification",
            with("verify = \"sample:0%\""),
            &["`verify`", "\"sample:0%\"", "sample:5%"],
        ),
        (
            "a rehearsal",
            with("rehearse = \"sample:5%\""),
            &["`rehearse`", "\"sample:5%\"", "10%"],
        ),
        (
            "a jitter",
            with("jitter = \"soon\""),
            &["`jitter`", "\"soon\"", "90s"],
        ),
        (
            "a long jitter",
            with("jitter = \"2d\""),
            &["`jitter`", "\"2d\"", "1d"],
        ),
        (
            "a flag",
            with("run_missed = \"yes\""),
            &["`run_missed`", "\"yes\"", "true or false"],
        ),
        (
            "no databases",
            with("databases = []"),
            &["`databases`", "one name or more"],
        ),
        (
            "rules",
            with("retention = \"7d\""),
            &["`retention`", "keep_daily"],
        ),
        (
            "a rule",
            with("retention = { keep_dayly = 7 }"),
            &["\"nightly\"", "keep_dayly", "keep_daily"],
        ),
        (
            "a label",
            with("labels = [\"by night\"]"),
            &["\"nightly\"", "by night", "not a label"],
        ),
        (
            "a database",
            with("databases = [\"a/b\"]"),
            &["\"nightly\"", "\"a/b\""],
        ),
        (
            "a key",
            with("time_zone = \"UTC\""),
            &[
                "`time_zone`",
                "\"nightly\"",
                "did you mean \"timezone\"?",
                "known: name, cron",
            ],
        ),
        (
            "one table",
            "[arc_backup.schedule]\nname = \"nightly\"\n".to_owned(),
            &["[[arc_backup.schedule]]"],
        ),
    ] {
        let instance = instance(&settings);
        for command in [&["schedules"][..], &["serve", "--listen", "127.0.0.1:0"]] {
            let output = instance.run(command);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(2), "{case}: {command:?}: {said}");
            for part in named {
                assert!(
                    said.contains(part),
                    "{case}: {command:?}: no {part:?} in {said}"
                );
            }
        }
    }
}

/// Guards against: a mistake in a schedule that stands in the way of a backup or a restore.
#[test]
fn a_wrong_schedule_stops_no_other_command() {
    let instance = instance(&schedule("name = \"nightly\"\ncron = \"at night\""));
    let id = instance.ok(&["backup"]);
    instance.ok(&["restore", &id, "--yes"]);
    let output = instance.run(&["check"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("schedules are not valid") && said.contains("at night"),
        "{said}"
    );
    let (code, report) = instance.json(&["doctor"]);
    let checks = report["checks"].as_array().unwrap();
    let found = checks
        .iter()
        .find(|check| check["subject"] == "schedules")
        .unwrap();
    assert_eq!((code, &found["status"]), (1, &"fault".into()), "{found}");
}

/// Guards against: a key that is accepted and ignored.
#[test]
fn every_key_is_shown_as_it_is_in_force() {
    let instance = instance(
        "[backup.targets.far]\ntype = \"local\"\nlocal_path = \"./far\"\n\
         [arc_backup]\ncopy_to = [\"far\"]\n\
         [[arc_backup.schedule]]\nname = \"plain\"\ncron = \"@daily\"\n\
         [[arc_backup.schedule]]\nname = \"full-one\"\ncron = \"30 0 3 * * MON\"\n\
         timezone = \"Asia/Kathmandu\"\ntype = \"full\"\ntarget = \"far\"\ndatabases = [\"iot\"]\n\
         retention = { keep_last = 3 }\ncopy_to = [\"local\"]\nverify = \"sample:2.5%\"\nrehearse = \"7%\"\n\
         jitter = \"5m\"\nrun_missed = false\npaused = true\nlabels = [\"a\", \"b\"]\n",
    );
    let (code, answer) = instance.json(&["schedules"]);
    assert_eq!((code, &answer["count"]), (0, &2.into()), "{answer}");
    let [plain, full] = [&answer["schedules"][0], &answer["schedules"][1]];
    for (found, key, expected) in [
        (plain, "timezone", "UTC".into()),
        (plain, "target", "local".into()),
        (plain, "copy_to", serde_json::json!(["far"])),
        (plain, "run_missed", true.into()),
        (plain, "paused", false.into()),
        (full, "cron", "30 0 3 * * MON".into()),
        (full, "timezone", "Asia/Kathmandu".into()),
        (full, "type", "full".into()),
        (full, "target", "far".into()),
        (full, "databases", serde_json::json!(["iot"])),
        (full, "copy_to", serde_json::json!(["local"])),
        (full, "verify", "sample:2.5%".into()),
        (full, "rehearse", "7%".into()),
        (full, "jitter", "5m".into()),
        (full, "run_missed", false.into()),
        (full, "paused", true.into()),
        (full, "labels", serde_json::json!(["a", "b"])),
    ] {
        assert_eq!(found[key], expected, "{key}: {found}");
    }
    assert_eq!(plain["next_runs"].as_array().unwrap().len(), 3, "{plain}");
    // Of a third table nobody is warned that it is unknown.
    let said = text(&instance.run(&["schedules"]));
    assert!(!said.contains("not a known key"), "{said}");
}
