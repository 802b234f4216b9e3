//! What is different in another backup, and in the live data.

use serde_json::Value;

use super::{fails, listed, named, set_back, small};
use crate::support::{Instance, UNKNOWN};

/// The figures of a change: files and bytes.
fn of(diff: &Value, change: &str) -> (u64, u64) {
    let amount = &diff["totals"][change];
    (
        amount["files"].as_u64().unwrap(),
        amount["bytes"].as_u64().unwrap(),
    )
}

/// Adds one file, removes one and changes two, one of them to the same size.
fn change(instance: &Instance) {
    let root = instance.path("data/arc");
    std::fs::write(root.join("iot/temperature/new.parquet"), b"added").unwrap();
    std::fs::remove_file(root.join("iot/temperature/b.parquet")).unwrap();
    std::fs::write(root.join("iot/temperature/a.parquet"), b"A").unwrap();
    std::fs::write(root.join("metrics/large.parquet"), b"rewritten").unwrap();
}

fn check_changes(diff: &Value) {
    assert_eq!(named(diff, "added"), ["data/iot/temperature/new.parquet"]);
    assert_eq!(named(diff, "removed"), ["data/iot/temperature/b.parquet"]);
    assert_eq!(
        named(diff, "changed"),
        [
            "data/iot/temperature/a.parquet",
            "data/metrics/large.parquet"
        ]
    );
    assert_eq!((of(diff, "added"), of(diff, "removed")), ((1, 5), (1, 1)));
    assert_eq!(of(diff, "changed"), (2, 10));
    assert_eq!(diff["totals"]["changed_bytes_before"], 700_001);
    assert_eq!(diff["same"], false);
    let parts = diff["parts"].as_array().unwrap();
    let part = |database: &str, measurement: &str| {
        let is_it = |one: &&Value| one["database"] == database && one["measurement"] == measurement;
        &parts.iter().find(is_it).unwrap()["totals"]
    };
    let temperature = part("iot", "temperature");
    for (change, files) in [("added", 1), ("removed", 1), ("changed", 1)] {
        assert_eq!(temperature[change]["files"], files, "{change}: {diff}");
    }
    for change in ["added", "removed", "changed", "unknown", "unchanged"] {
        let sum: u64 = parts
            .iter()
            .map(|one| one["totals"][change]["files"].as_u64().unwrap())
            .sum();
        assert!(
            sum == of(diff, change).0 || change == "unchanged",
            "{change}: {diff}"
        );
    }
}

/// Guards against: a change that is not named, or one that is none.
#[test]
fn each_kind_of_change_between_two_backups_is_found() {
    let instance = small();
    let first = instance.backup();
    change(&instance);
    let second = instance.backup();
    let (code, diff) = instance.json(&["diff", &first, &second]);
    assert_eq!(code, 0, "{diff}");
    check_changes(&diff);
    assert_eq!(of(&diff, "unknown"), (0, 0));
    let all = listed(&instance, &first).len() as u64;
    let (removed, changed, unchanged) = (
        of(&diff, "removed"),
        of(&diff, "changed"),
        of(&diff, "unchanged"),
    );
    assert_eq!(removed.0 + changed.0 + unchanged.0, all, "{diff}");
    // The other way round.
    let (_, back) = instance.json(&["diff", &second, &first]);
    assert_eq!(named(&back, "added"), named(&diff, "removed"));
    assert_eq!(named(&back, "removed"), named(&diff, "added"));
    assert_eq!(of(&back, "changed"), (2, 700_001));
    let (_, none) = instance.json(&["diff", &first, &first]);
    assert_eq!(
        (&none["same"], &none["parts"]),
        (&true.into(), &serde_json::json!([]))
    );
    let shown = instance.ok(&["diff", &first, "latest"]);
    for part in [
        "added      data/iot/temperature/new.parquet",
        "iot.temperature",
        "total",
    ] {
        assert!(shown.contains(part), "no {part:?} in: {shown}");
    }
    let named_all = instance.ok(&["diff", &first, &second, "--files"]);
    assert!(
        named_all.starts_with("changed    data/iot/temperature/a.parquet\n"),
        "{named_all}"
    );

    let service = instance.serve();
    let query = format!("/api/v1/backup/diff?a={first}&b={second}");
    assert_eq!(service.get(&query).json(), diff);
    let one = service.get(&format!("{query}&limit=1")).json();
    assert_eq!(named(&one, "changed"), ["data/iot/temperature/a.parquet"]);
    let base = "/api/v1/backup/diff";
    for (query, status) in [
        (format!("a={first}"), 400),
        (format!("b={first}"), 400),
        (format!("a={first}&b={second}&live=true"), 400),
        (format!("a={first}&b=x"), 400),
        (format!("a={first}&b={UNKNOWN}"), 404),
        (format!("a={UNKNOWN}&live=true"), 404),
    ] {
        let answer = service.get(&format!("{base}?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
    }
    fails(&instance, &["diff", &first], 2, &["--live"]);
    fails(&instance, &["diff", &first, UNKNOWN], 1, &[UNKNOWN]);
}

/// Guards against: live data that passes for the backup's, and a file that is called changed though
/// nothing shows it.
#[test]
fn the_live_data_is_compared_without_reading_it() {
    let instance = small();
    set_back(&instance);
    let id = instance.backup();
    let (_, same) = instance.json(&["diff", &id, "--live"]);
    assert_eq!(
        (&same["same"], of(&same, "unknown")),
        (&true.into(), (0, 0)),
        "{same}"
    );
    let files = crate::support::files(&instance.path("data/arc")).len() as u64;
    assert_eq!(of(&same, "unchanged").0, files);
    change(&instance);
    // Another file of the same size and time, renamed over it.
    let root = instance.path("data/arc/");
    let replaced = (crate::support::files(&root).into_iter())
        .find(|file| !file.contains("temperature") && !file.contains("large"))
        .unwrap();
    let (path, other) = (root.join(&replaced), root.join("iot/other"));
    let modified = path.metadata().unwrap().modified().unwrap();
    std::fs::copy(&path, &other).unwrap();
    let file = std::fs::File::options().append(true).open(&other).unwrap();
    file.set_modified(modified).unwrap();
    std::fs::rename(&other, &path).unwrap();
    let (code, diff) = instance.json(&["diff", &id, "--live"]);
    assert_eq!(code, 0, "{diff}");
    check_changes(&diff);
    assert_eq!(named(&diff, "unknown"), [format!("data/{replaced}")]);
    assert_eq!(
        diff["b"]["live"]
            .as_str()
            .map(|at| at.ends_with("data/arc")),
        Some(true)
    );
    let service = instance.serve();
    let answer = service.get(&format!("/api/v1/backup/diff?a={id}&live=true"));
    assert_eq!(answer.json()["totals"], diff["totals"]);
    // Of a backup of one database, the others are not extra.
    let scoped = instance.ok(&["backup", "--database", "iot"]);
    let (_, diff) = instance.json(&["diff", &scoped, "--live"]);
    assert_eq!(
        (of(&diff, "added"), of(&diff, "removed")),
        ((0, 0), (0, 0)),
        "{diff}"
    );
    assert!(diff["warnings"].to_string().contains("iot"), "{diff}");
}

/// Guards against: a comparison of a part that counts other files, and a misspelt part that looks
/// like no difference.
#[test]
fn a_part_is_compared_alone() {
    let instance = small();
    set_back(&instance);
    let first = instance.backup();
    change(&instance);
    std::fs::create_dir_all(instance.path("data/arc/late/cpu/2027/01/13/22")).unwrap();
    std::fs::write(
        instance.path("data/arc/late/cpu/2027/01/13/22/a.parquet"),
        b"late",
    )
    .unwrap();
    let second = instance.backup();
    let service = instance.serve();
    let all = instance.json(&["diff", &first, &second]).1;
    for other in [&*second, "--live"] {
        let diff = |part: &[&str]| instance.json(&[&["diff", &first, other], part].concat());
        let (code, one) = diff(&["--include", "iot.temperature"]);
        assert_eq!(code, 0, "{one}");
        assert_eq!(one["parts"].as_array().unwrap().len(), 1, "{one}");
        for kind in ["added", "removed", "changed"] {
            assert_eq!(of(&one, kind).0, 1, "{other}: {kind}: {one}");
        }
        assert_eq!(one["selection"]["include"][0], "iot.temperature");
        let (_, rest) = diff(&["--exclude", "iot.temperature", "--exclude", "late"]);
        assert_eq!(named(&rest, "changed"), ["data/metrics/large.parquet"]);
        assert_eq!((of(&rest, "added"), of(&rest, "removed")), ((0, 0), (0, 0)));
        // Of a database that one side has alone, and of some hours.
        for part in [
            &["--include", "late"][..],
            &["--from", "2027-01-13", "--until", "2027-01-14"],
            &["--include", "late/cpu/**"],
        ] {
            let (code, one) = diff(part);
            assert_eq!(code, 0, "{other}, {part:?}: {one}");
            let path = "data/late/cpu/2027/01/13/22/a.parquet";
            assert_eq!(named(&one, "added"), [path], "{other}, {part:?}");
            assert_eq!((of(&one, "removed").0, of(&one, "changed").0), (0, 0));
        }
        // Items of one side each; a part that is empty.
        for part in [
            &["--include", "iot.temperature", "--include", "late.cpu"][..],
            &["--include", "iot", "--from", "2031-01-01"],
            &["--include", "iot", "--exclude", "iot/**"],
        ] {
            let (code, one) = diff(part);
            assert_eq!(code, 0, "{other}, {part:?}: {one}");
            assert_eq!(one["same"], !part.contains(&"late.cpu"), "{one}");
        }
        for (part, words) in [
            (&["--include", "iott"][..], &["iott"][..]),
            (
                &["--include", "iot", "--include", "iot/x/**"],
                &["iot/x/**", "matches"],
            ),
            (
                &["--from", "2027-01-14", "--until", "2027-01-13"],
                &["ends at"],
            ),
        ] {
            fails(
                &instance,
                &[&["diff", &first, other], part].concat(),
                2,
                words,
            );
        }
        if other != "--live" {
            let part = ["diff", &first, other, "--exclude", "nothing.at_all"];
            fails(&instance, &part, 2, &["nothing.at_all"]);
        }
        let query = match other {
            "--live" => "live=true".to_owned(),
            id => format!("b={id}"),
        };
        let base = format!("/api/v1/backup/diff?a={first}&{query}");
        let answer = service.get(&format!("{base}&exclude=iot.temperature&exclude=late"));
        assert_eq!(answer.json(), rest);
        for wrong in ["include=iott", "from=yesterday", "include="] {
            let answer = service.get(&format!("{base}&{wrong}"));
            assert_eq!(answer.status, 400, "{wrong}: {}", answer.text);
        }
    }
    assert!(all.get("selection").is_none(), "{all}");
}
