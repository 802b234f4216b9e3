//! Backups of some databases whose files are in the cold tier.

use std::collections::BTreeMap;

use super::tiers::Tiered;
use crate::stores::{Kind, contents, delete, put, s3_server};
use crate::support::{Instance, text};

fn of(files: &BTreeMap<String, Vec<u8>>, database: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = files.clone();
    files.retain(|key, _| key.starts_with(&format!("{database}/")));
    files
}

fn restore(instance: &Instance, id: &str, policy: &str) {
    let arguments = ["restore", id, "--yes", "--extra-files", policy];
    let output = instance.run(&arguments);
    assert!(output.status.success(), "{}", text(&output));
}

/// Guards against: a database of old files that is taken for an unknown one, and a restore of one
/// database that changes another one in the cold tier.
#[test]
fn a_database_that_is_all_cold_is_backed_up_and_restored_alone() {
    for kind in [Kind::Local, Kind::S3] {
        let server = s3_server();
        let tiered = Tiered::new(kind, &server);
        let instance = &tiered.instance;
        let all = tiered.parquet();
        let is_old = |key: &&String| key.starts_with("metrics/") || key.contains("/vibration/");
        let moved: Vec<_> = all.iter().filter(is_old).cloned().collect();
        tiered.migrate(&moved);
        assert!(!instance.path("data/arc/metrics").exists());
        let cold = contents(&tiered.cold.sink);
        assert!(of(&cold, "metrics").len() > 1 && of(&cold, "iot").len() > 1);
        let metrics = instance.ok(&["backup", "--database", "metrics"]);
        let iot = instance.ok(&["backup", "--database", "iot"]);
        let (_, shown) = instance.json(&["show", &metrics]);
        assert_eq!(shown["cold_files"], of(&cold, "metrics").len(), "{shown}");
        let (_, shown) = instance.json(&["show", &iot]);
        assert_eq!(shown["cold_files"], of(&cold, "iot").len(), "{shown}");

        for (id, own, other) in [(&metrics, "metrics", "iot"), (&iot, "iot", "metrics")] {
            for policy in ["set-aside", "remove"] {
                let case = format!("{kind:?} {own} {policy}");
                // One is gone, one is other, and one is extra, in both databases.
                for database in [own, other] {
                    let keys: Vec<_> = of(&contents(&tiered.cold.sink), database)
                        .into_keys()
                        .collect();
                    delete(&tiered.cold.sink, &[&keys[0]]);
                    put(&tiered.cold.sink, &keys[1], b"other");
                    let extra = format!("{database}/vibration/2026/11/20/00/{policy}.parquet");
                    put(&tiered.cold.sink, &extra, b"extra");
                }
                let before = contents(&tiered.cold.sink);
                restore(instance, id, policy);
                let after = contents(&tiered.cold.sink);
                assert!(
                    of(&after, other) == of(&before, other),
                    "{case}: the other one"
                );
                assert!(of(&after, own) == of(&cold, own), "{case}: its own");
            }
        }
    }
}
