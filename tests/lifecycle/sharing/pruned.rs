//! A prune in which one deletion stands in the way of another.

use std::sync::Arc;

use arc_backup_local::{LocalConfig, LocalSink};
use serde_json::{Value, json};

use super::referring;
use crate::support::Instance;

/// Four backups, of which the third refers to the second, and does not say to which of its files.
fn with_a_torn_inventory() -> (Instance, [String; 4]) {
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    let ids = [(); 4].map(|()| instance.backup());
    let sink = LocalSink::new(LocalConfig::new(instance.path("data/backups")));
    let sink = Arc::new(sink);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(referring::refer(&*sink, &ids[2], &ids[1]));
    for name in ["inventory.jsonl", "inventory.jsonl.zst"] {
        let path = instance.backup_folder(&ids[2]).join(name);
        if let Ok(bytes) = std::fs::read(&path) {
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    (instance, ids)
}

fn planned<'a>(plan: &'a Value, id: &str) -> &'a Value {
    let backups = plan["backups"].as_array().unwrap();
    backups.iter().find(|one| one["backup_id"] == id).unwrap()
}

/// Guards against: a prune that fails, where the same prune succeeds a moment later; and a plan
/// that knows nothing of it.
#[test]
fn what_another_deletion_stood_in_the_way_of_is_deleted_after_it() {
    let (instance, [first, base, torn, last]) = with_a_torn_inventory();
    let (_, plan) = instance.json(&["prune", "--keep-last", "1"]);
    for id in [&first, &base, &torn] {
        assert!(planned(&plan, id)["freed_bytes"].is_u64(), "{plan}");
    }
    assert!(plan["freed_files"].is_u64(), "{plan}");
    let (code, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(
        done["deleted_backups"],
        json!([first, torn, base]),
        "{done}"
    );
    assert_eq!(done["freed_files"], plan["freed_files"], "{done}");
    assert_eq!(instance.ok(&["list", "--ids"]), last);
}

/// Guards against: sums of a plan that leave out what is not known, and one fault that hides what
/// all other deletions free.
#[test]
fn a_plan_says_which_deletion_may_fail_and_what_the_others_free() {
    let (instance, [first, base, torn, _]) = with_a_torn_inventory();
    instance.ok(&["pin", &torn]);
    let (code, plan) = instance.json(&["prune", "--keep-last", "1"]);
    assert_eq!(code, 0, "{plan}");
    assert!(planned(&plan, &first)["freed_files"].is_u64(), "{plan}");
    let stuck = planned(&plan, &base);
    assert_eq!(stuck["freed_files"], Value::Null, "{plan}");
    let reasons = stuck["reasons"].to_string();
    assert!(
        reasons.contains("may fail") && reasons.contains(&torn),
        "{plan}"
    );
    assert_eq!(plan["freed_files"], Value::Null, "{plan}");
    assert_eq!(plan["freed_bytes"], Value::Null, "{plan}");
    let said = instance.ok(&["prune", "--keep-last", "1"]);
    assert!(said.contains("2 of 4 backups, at least "), "{said}");
    let (code, done) = instance.json(&["prune", "--keep-last", "1", "--confirm"]);
    assert_eq!(
        (code, &done["deleted_backups"]),
        (1, &json!([first])),
        "{done}"
    );
}
