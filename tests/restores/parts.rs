//! Restores of a part of the data: what was asked for, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_test_azurite::Azurite;

use super::*;
use crate::stores::{KINDS, delete, done, put_all, target};
use crate::support::Service;

pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Two databases and one of an edge node, with companions, files of hours and of days, and files
/// that belong to nothing.
pub(super) fn files() -> Files {
    let mut keys: BTreeSet<String> = [
        "iot/mem/2027/01/13/mem_b1_daily.parquet",
        "iot/cpu/metadata/v1.metadata.json",
        "_schema/iot/cpu.parquet",
        "_schema/iot/mem.parquet",
        "_schema/web/cpu.parquet",
        "_schema/spoke1/telemetry/cpu.parquet",
        "_schema/anchor.parquet",
        "_compaction_state/daily/iot/notes.txt",
        "lost.parquet",
    ]
    .map(str::to_owned)
    .into();
    for measurement in ["iot/cpu", "iot/mem", "web/cpu", "spoke1/telemetry/cpu"] {
        for hour in ["13/22", "13/23", "14/00", "14/01"] {
            for name in ["a", "b"] {
                keys.insert(format!("{measurement}/2027/01/{hour}/{name}.parquet"));
            }
        }
    }
    keys.into_iter()
        .map(|key| (key.clone(), format!("rows of {key}").into_bytes()))
        .collect()
}

/// The data without the tool's own files.
pub(super) fn live_files(place: &Place) -> Files {
    let mut files = contents(&place.sink);
    files.retain(|key, _| !key.starts_with(".arc-backup"));
    files
}

/// Changes every measurement: a file rewritten, one gone, one added. Files of days stay, so that a
/// part of a day can be restored.
pub(super) fn change_all(place: &Place, round: usize) {
    let mut changed = Files::new();
    let mut gone = Vec::new();
    for key in files().into_keys().filter(|key| !key.contains("daily")) {
        match key.rsplit('/').next() {
            Some("a.parquet") => {
                changed.insert(key.replace("a.parquet", "later.parquet"), b"later".into());
                changed.insert(key, format!("round {round}").into_bytes());
            }
            Some("b.parquet") => gone.push(key),
            _ => {
                changed.insert(format!("{key}.later"), b"later".into());
                changed.insert(key, format!("round {round}").into_bytes());
            }
        }
    }
    put_all(&place.sink, &changed);
    let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    delete(&place.sink, &gone);
}

/// A scope, and which keys are in it: written down a second time, by the page and not by the code.
pub(super) struct Case {
    pub(super) scope: Value,
    pub(super) is_in: fn(&str) -> bool,
    /// Whether the anchors of schemas that the backup does not hold stay.
    pub(super) keeps_anchors: bool,
}

fn cases() -> Vec<Case> {
    let whole = |scope, is_in| Case {
        scope,
        is_in,
        keeps_anchors: false,
    };
    let timed = |scope, is_in| Case {
        scope,
        is_in,
        keeps_anchors: true,
    };
    vec![
        whole(json!({"include": ["iot.cpu"]}), |key| {
            key.starts_with("iot/cpu/") || key == "_schema/iot/cpu.parquet"
        }),
        whole(json!({"include": ["*.cpu"], "exclude": ["web"]}), |key| {
            key.starts_with("iot/cpu/") || key == "_schema/iot/cpu.parquet"
        }),
        whole(json!({"include": ["iot"]}), |key| {
            key.starts_with("iot/")
                || key.starts_with("_schema/iot/")
                || key.starts_with("_compaction_state/daily/iot/")
        }),
        whole(json!({"exclude": ["iot", "web"]}), |key| {
            ["spoke1/", "_schema/spoke1/", "_schema/anchor", "lost"]
                .iter()
                .any(|part| key.starts_with(part))
        }),
        whole(json!({"include": ["spoke1/telemetry/cpu/**"]}), |key| {
            key.starts_with("spoke1/") || key == "_schema/spoke1/telemetry/cpu.parquet"
        }),
        whole(json!({"include": ["web/cpu/2027/01/1?/0[01]/*"]}), |key| {
            key.starts_with("web/cpu/2027/01/14/")
        }),
        timed(
            json!({"include": ["iot.cpu"], "from": "2027-01-14T00:20:00Z", "until": "2027-01-14T01:00:00Z"}),
            |key| key.starts_with("iot/cpu/2027/01/14/00/") || key == "_schema/iot/cpu.parquet",
        ),
        timed(
            json!({"from": "2027-01-13T23:00:00Z", "until": "2027-01-14"}),
            |key| key.contains("/2027/01/13/23/") || is_anchor(key) || key.contains("13/mem_b1"),
        ),
        timed(
            json!({"include": ["iot", "web"], "until": "2027-01-14"}),
            |key| {
                let is_of = ["iot/", "web/", "_schema/iot/", "_schema/web/"];
                (is_of.iter()).any(|part| key.starts_with(part))
                    && (key.contains("/2027/01/13/") || is_anchor(key))
            },
        ),
    ]
}

pub(super) fn is_anchor(key: &str) -> bool {
    key.starts_with("_schema/")
}

/// Guards against: a restore of a part that misses a file, or touches another one.
pub(super) fn a_part_comes_back_and_everything_else_stays() {
    for kind in KINDS {
        let (instance, server) = (Instance::new(), s3_server());
        std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
        std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
        std::fs::create_dir(instance.path("data/arc")).unwrap();
        let storage = match kind {
            Kind::Local => Place::local(&instance, "data/arc"),
            Kind::S3 => Place::s3(&server, "data", "live/arc"),
            // Arc reads the whole container.
            Kind::Azure => Place::azure(Azurite::shared(), ""),
        };
        let held = files();
        put_all(&storage.sink, &held);
        configure(&instance, &storage, &target(kind, &instance, &server));
        let service = instance.serve();
        let made = done(&service, "/api/v1/backup", r#"{"target": "far"}"#);
        let id = made["backup_id"].as_str().unwrap();
        for (round, case) in cases().into_iter().enumerate() {
            change_all(&storage, round);
            let name = format!("{kind:?} {}", case.scope);
            let before = live_files(&storage);
            let restored = restore(&service, id, &case.scope);
            let mut expected = before.clone();
            expected.retain(|key, _| {
                let is_kept = case.keeps_anchors && is_anchor(key) && !held.contains_key(key);
                is_kept || !in_scope(&case, key)
            });
            let wanted = held.iter().filter(|(key, _)| in_scope(&case, key));
            let wanted: Files = wanted
                .map(|(key, bytes)| (key.clone(), bytes.clone()))
                .collect();
            assert!(!wanted.is_empty(), "{name}");
            expected.extend(wanted.clone());
            let after = live_files(&storage);
            let keys = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&after), keys(&expected), "{name}");
            assert!(after == expected, "{name}: other bytes");
            let shown = &restored["selection"];
            assert_eq!(
                shown.get("include"),
                case.scope.get("include"),
                "{restored}"
            );
            assert_eq!(restored["restart_required"], false, "{name}: {restored}");
            let plan = &restored["plan"];
            let counted =
                plan["unchanged_files"].as_u64().unwrap() + plan["written_files"].as_u64().unwrap();
            assert_eq!(counted, wanted.len() as u64, "{name}: {restored}");
            let again = restore(&service, id, &case.scope);
            for figure in ["written_files", "extra_files", "bytes_to_write"] {
                assert_eq!(again["plan"][figure], 0, "{name}: {again}");
            }
            assert!(live_files(&storage) == after, "{name}: the second time");
        }
    }
}

pub(super) fn in_scope(case: &Case, key: &str) -> bool {
    // What is beside a companion is named like it.
    (case.is_in)(key.strip_suffix(".later").unwrap_or(key)) && !key.ends_with(".parquet.later")
        || (case.is_in)(key)
}

fn restore(service: &Service, id: &str, scope: &Value) -> Value {
    let body = json!({"backup_id": id, "confirm": true, "scope": scope});
    done(service, "/api/v1/backup/restore", &body.to_string())
}

/// An instance on local disk with the files, and a backup of it.
pub(super) fn local() -> (Instance, Place, String) {
    let instance = small();
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    let place = Place::local(&instance, "data/arc");
    put_all(&place.sink, &files());
    let id = instance.backup();
    (instance, place, id)
}

pub(super) fn restored(instance: &Instance, id: &str, options: &[&str]) -> Value {
    let arguments = [&["restore", id, "--yes"], options].concat();
    let (code, operation) = instance.json(&arguments);
    assert_eq!(code, 0, "{options:?}: {operation}");
    operation
}

/// Guards against: parts that are not the sum of each other.
pub(super) fn two_parts_after_each_other_are_both_at_once() {
    let (instance, place, id) = local();
    let changed = |round| {
        let known = contents(&place.sink);
        let keys: Vec<&str> = known.keys().map(String::as_str).collect();
        delete(&place.sink, &keys);
        put_all(&place.sink, &files());
        change_all(&place, round);
    };
    let hours = ["--from", "2027-01-13T23:00", "--until", "2027-01-14T01:00"];
    for (one, other) in [
        (vec!["--include", "iot.cpu"], vec!["--include", "web"]),
        (
            vec!["--include", "iot.mem"],
            vec!["--include", "spoke1/**", "--include", "web.c*"],
        ),
    ] {
        for time in [&[][..], &hours] {
            changed(1);
            restored(&instance, &id, &[&one[..], time].concat());
            restored(&instance, &id, &[&other[..], time].concat());
            let apart = live_files(&place);
            changed(1);
            restored(&instance, &id, &[&one[..], &other[..], time].concat());
            assert!(
                live_files(&place) == apart,
                "{one:?} and {other:?} {time:?}"
            );
            assert_ne!(apart, files(), "everything was restored");
        }
    }
}
