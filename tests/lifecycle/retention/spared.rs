//! What a prune never removes.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::history::{add, add_with, damage, ids, note_path, planned, row, small, write_note};
use crate::support::{ARC_NEW, ARC_OLD, Instance, files, text};

/// Guards against: backups that Arc made, or another instance in the same folder, deleted by rules
/// that were written for ours.
#[test]
fn backups_of_others_stay_unless_they_are_asked_for() {
    let instance = Instance::new();
    let root = instance.path("data/arc");
    for file in files(&root).iter().skip(2) {
        std::fs::remove_file(root.join(file)).unwrap();
    }
    let ours = instance.backup();
    let of_other = |moment: &str| {
        add_with(&instance, &ours, moment, |manifest| {
            let source = manifest.source.as_mut().unwrap();
            source.instance = Some("0123456789abcdef0123456789abcdef".to_owned());
        })
    };
    let (older, newer) = (
        of_other("2026-02-10T00:00:00Z"),
        of_other("2026-02-11T00:00:00Z"),
    );
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(planned(&plan, false), Vec::<String>::new(), "{plan}");
    for id in [&*older, &newer, ARC_OLD, ARC_NEW] {
        let reasons = &row(&plan, id)["reasons"];
        assert_eq!(*reasons, json!(["not made by this instance"]), "{plan}");
    }
    assert!(
        plan["warnings"].to_string().contains("--include-foreign"),
        "{plan}"
    );
    let wanted = [
        "prune",
        "--keep-last",
        "1",
        "--include-foreign",
        "--confirm",
    ];
    let (code, done) = instance.json(&wanted);
    assert_eq!(code, 0, "{done}");
    // Each has its last one.
    assert_eq!(done["deleted_backups"], json!([older, ARC_OLD]), "{done}");
    assert_eq!(ids(&instance).len(), 3);
}

/// Guards against: backups that can't be read now, or were made by a clock that was ahead, deleted;
/// or others deleted for them.
#[test]
fn what_is_not_known_stays_and_takes_no_place() {
    let instance = small();
    let base = instance.backup();
    let old = add(&instance, &base, "2026-02-10T00:00:00Z");
    let future = add(&instance, &base, "2126-02-10T00:00:00Z");
    let broken = add(&instance, &base, "2026-02-11T00:00:00Z");
    std::fs::write(instance.backup_folder(&broken).join("manifest.json"), "{").unwrap();
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(planned(&plan, false), [old], "{plan}");
    assert_eq!(
        row(&plan, &future)["reasons"],
        json!(["dated in the future"])
    );
    let reasons = row(&plan, &broken)["reasons"].to_string();
    assert!(reasons.contains("doesn't say who made it"), "{plan}");
    assert!(plan["warnings"].to_string().contains("future"), "{plan}");
    let (code, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(ids(&instance), [future, base], "{done}");
    assert!(instance.backup_folder(&broken).exists());
}

/// Guards against: damaged backups that stay for ever, and good ones that go for them.
#[test]
fn a_damaged_backup_goes_with_those_of_its_age() {
    let instance = small();
    let base = instance.backup();
    let day = |day: u32, hour: u32| {
        add(
            &instance,
            &base,
            &format!("2026-02-{day:02}T{hour:02}:00:00Z"),
        )
    };
    let (only_of_its_day, replaced, older) = (day(10, 3), day(9, 3), day(7, 3));
    let (newer, eighth) = (day(9, 15), day(8, 3));
    for id in [&only_of_its_day, &replaced, &older] {
        damage(&instance, id);
    }
    let (_, plan) = instance.json(&["prune", "--keep-daily", "3"]);
    // Good ones: today, 9 and 8 February.
    assert_eq!(
        planned(&plan, true),
        [base, only_of_its_day.clone(), newer, eighth],
        "{plan}"
    );
    let reasons = row(&plan, &only_of_its_day)["reasons"].to_string();
    assert!(reasons.contains("damaged, takes no place"), "{plan}");
    assert_eq!(row(&plan, &older)["state"], "damaged", "{plan}");
}

/// Guards against: a note that can't be read, of a backup that may be pinned.
#[test]
fn a_backup_whose_note_is_broken_stays() {
    let instance = small();
    let base = instance.backup();
    let (first, second) = (
        add(&instance, &base, "2026-02-09T00:00:00Z"),
        add(&instance, &base, "2026-02-10T00:00:00Z"),
    );
    write_note(&instance, &first, &json!([]));
    let (code, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(done["deleted_backups"], json!([second]), "{done}");
    let warnings = done["warnings"].to_string();
    assert!(
        warnings.contains(&first) && warnings.contains("pinned"),
        "{done}"
    );
}

/// Guards against: the good backup that goes for one of which nobody knows that it is damaged, as
/// its note can't be read.
#[test]
fn a_backup_whose_note_is_broken_takes_no_place() {
    let instance = small();
    let newest = instance.backup();
    let good = add(&instance, &newest, "2026-02-10T00:00:00Z");
    damage(&instance, &newest);
    let path = note_path(&instance, &newest);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..40]).unwrap();
    let (code, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(done.get("deleted_backups"), None, "{done}");
    let said = done["warnings"].to_string();
    assert!(said.contains(&newest) && said.contains("damaged"), "{done}");
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(row(&plan, &good)["reasons"], json!(["last snapshot"]));
    // Nor is it the one that is left, or a base.
    let output = instance.run(&["delete", &good, "--yes"]);
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&instance.run(&["check"])).contains("note that can't be read"));
    let (_, made) = instance.json(&["backup", "--incremental"]);
    assert_eq!(made["base_backup_id"], good.as_str(), "{made}");
    assert!(made["warnings"].to_string().contains(&newest), "{made}");
}

/// Guards against: a backup without tokens and databases for which the whole ones go.
#[test]
fn a_backup_without_the_sqlite_databases_takes_no_place() {
    let instance = small();
    let whole = instance.backup();
    let part = instance.ok(&["backup", "--no-metadata", "--no-config"]);
    let no_config = instance.ok(&["backup", "--no-config"]);
    let all = [no_config.clone(), part.clone(), whole.clone()];
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(planned(&plan, true), all, "{plan}");
    let output = instance.run(&["delete", &whole, "--yes"]);
    assert!(!output.status.success(), "{}", text(&output));
    let said = text(&instance.run(&["check"]));
    assert!(
        said.contains("without the SQLite databases does not count"),
        "{said}"
    );
    for id in [&no_config, &part] {
        instance.ok(&["delete", id, "--yes"]);
    }
    // Where no other is there, the last of them stays all the same.
    let last = instance.ok(&["backup", "--no-metadata"]);
    instance.ok(&["delete", &whole, "--yes", "--even-last"]);
    let output = instance.run(&["delete", &last, "--yes"]);
    assert!(!output.status.success(), "{}", text(&output));
    let said = text(&instance.run(&["check"]));
    assert!(said.contains("no good backup"), "{said}");
}

/// Guards against: the only good backup that goes for one that shares the files of a damaged one.
#[test]
fn what_may_share_damaged_files_takes_no_place_until_it_was_read() {
    let instance = small();
    let whole = instance.backup();
    let base = instance.backup();
    let linked = instance.ok(&["backup", "--incremental"]);
    let root = instance.backup_folder(&linked).join("data");
    let name = root.join(files(&root).pop().unwrap());
    let mut bytes = std::fs::read(&name).unwrap();
    bytes[0] ^= 0x55;
    use std::io::Write as _;
    let mut file = std::fs::File::options().write(true).open(&name).unwrap();
    file.write_all(&bytes).unwrap();
    assert!(!instance.run(&["verify", &linked]).status.success());
    for gone in ["nothing", "the damaged one"] {
        if gone != "nothing" {
            instance.ok(&["delete", &linked, "--yes"]);
        }
        let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
        assert_eq!(
            planned(&plan, false),
            Vec::<String>::new(),
            "{gone}: {plan}"
        );
        let reasons = row(&plan, &base)["reasons"].to_string();
        assert!(
            reasons.contains("may share damaged files"),
            "{gone}: {plan}"
        );
        assert!(
            plan["warnings"].to_string().contains(&linked),
            "{gone}: {plan}"
        );
    }
    instance.ok(&["verify", &whole]);
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(
        planned(&plan, true),
        [base.clone(), whole.clone()],
        "{plan}"
    );
    // The first one finds the damage once more, while it is made; the next one is beyond doubt.
    instance.ok(&["backup", "--incremental"]);
    let new = instance.ok(&["backup", "--incremental"]);
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(planned(&plan, true), std::slice::from_ref(&new), "{plan}");
    instance.ok(&["verify", &new]);
}

/// Guards against: an archive of which nothing is known, in a folder that can't be read.
#[test]
fn a_backup_without_the_right_to_read_it_stays() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything.
        return;
    }
    let instance = small();
    let base = instance.backup();
    let denied = add(&instance, &base, "2026-02-09T00:00:00Z");
    let path = instance.backup_folder(&denied).join("manifest.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(planned(&plan, false), Vec::<String>::new(), "{plan}");
    let output = instance.run(&["prune", "--keep-last", "1", "--confirm"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(path.exists());
}

/// Guards against: three years of monthly backups deleted by the rules of the target, as the
/// schedule that kept them was renamed.
#[test]
fn the_backups_of_a_removed_schedule_stay() {
    let instance = small();
    let base = instance.backup();
    let monthly = ["2026-01-01", "2026-02-01"].map(|day| {
        add_with(&instance, &base, &format!("{day}T00:00:00Z"), |manifest| {
            manifest.schedule = Some("monthly".to_owned());
        })
    });
    let by_hand = add(&instance, &base, "2026-01-02T00:00:00Z");
    instance.configure("[arc_backup.retention]\nkeep_last = 1");
    let (_, plan) = instance.json(&["prune"]);
    assert_eq!(
        planned(&plan, false),
        std::slice::from_ref(&by_hand),
        "{plan}"
    );
    for id in &monthly {
        let reasons = &row(&plan, id)["reasons"];
        let expected = json!(["of schedule `monthly`, which is not configured"]);
        assert_eq!(*reasons, expected, "{plan}");
    }
    let warnings = plan["warnings"].to_string();
    assert!(
        warnings.contains("(monthly)") && warnings.contains("--keep-daily"),
        "{plan}"
    );
    let (code, done) = instance.json(&["prune", "--confirm"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(done["deleted_backups"], json!([by_hand]), "{done}");
    // Rules that are given are for all.
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(planned(&plan, false).len(), 2, "{plan}");
    // A schedule without rules of its own has those of the target.
    instance.configure("[[arc_backup.schedule]]\nname = \"monthly\"\ncron = \"0 3 1 * *\"");
    let (_, plan) = instance.json(&["prune"]);
    assert_eq!(planned(&plan, false).len(), 2, "{plan}");
    assert_eq!(plan["warnings"], json!([]), "{plan}");
}
