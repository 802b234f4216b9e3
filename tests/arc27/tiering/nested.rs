//! A tier in the place of the other one: in one bucket, or in a folder of it.

use serde_json::{Value, json};

use super::tiers::Tiered;
use crate::stores::{Kind, Place, contents, keys, put, s3_server, storage};
use crate::support::text;

/// Guards against files of one tier that are taken for those of the other one: backed up twice,
/// and moved away by a restore.
#[test]
fn files_of_a_tier_inside_the_other_one_are_of_that_tier_alone() {
    for case in ["cold in hot", "hot in cold", "folders"] {
        let server = s3_server();
        let tiered = Tiered::placed(|instance| match case {
            "cold in hot" => {
                let hot = storage(Kind::S3, instance, &server, false);
                (hot, Place::s3(&server, "data", "cold"))
            }
            "hot in cold" => {
                let hot = storage(Kind::S3, instance, &server, true);
                (hot, Place::s3(&server, "data", ""))
            }
            _ => {
                let hot = storage(Kind::Local, instance, &server, true);
                (hot, Place::local(instance, "data/arc/cold"))
            }
        });
        let all = tiered.parquet();
        let moved: Vec<_> = all.iter().step_by(3).cloned().collect();
        tiered.migrate(&moved);
        let id = tiered.instance.backup();
        let (_, shown) = tiered.instance.json(&["show", &id]);
        assert_eq!(shown["cold_files"], moved.len(), "{case}: {shown}");
        let inventory = crate::support::inventory_of(&tiered.instance.backup_folder(&id));
        let mut backed_up: Vec<String> = (inventory.lines())
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter_map(|line| Some(line["path"].as_str()?.strip_prefix("data/")?.to_owned()))
            .filter(|key| key.ends_with(".parquet") && !key.starts_with('_'))
            .collect();
        backed_up.sort();
        assert_eq!(backed_up, all, "{case}");
        let (before, hot) = (tiered.served(), keys(&tiered.hot));
        let extra = all[1].replace(".parquet", "_later.parquet");
        put(&tiered.hot, &extra, b"later");
        let restore = ["restore", &id, "--yes", "--no-metadata"];
        let (code, done) = tiered.instance.json(&restore);
        assert_eq!(
            (code, &done["status"]),
            (0, &json!("completed")),
            "{case}: {done}"
        );
        assert_eq!(done["plan"]["extra_files"], 1, "{case}: {done}");
        assert_eq!(done["plan"]["written_files"], 0, "{case}: {done}");
        assert_eq!(keys(&tiered.hot), hot, "{case}");
        assert!(tiered.served() == before, "{case}");
    }
}

/// Guards against a cold tier in the place of the hot one, where a file that moves is lost.
#[test]
fn both_tiers_in_the_same_place_are_refused() {
    let server = s3_server();
    let tiered = Tiered::placed(|instance| {
        let hot = storage(Kind::S3, instance, &server, false);
        (hot, Place::s3(&server, "data", ""))
    });
    let before = contents(&tiered.hot);
    let output = tiered.instance.run(&["backup"]);
    assert!(!output.status.success());
    let said = text(&output);
    assert!(
        said.contains("`tiered_storage.cold` is the location"),
        "{said}"
    );
    assert!(contents(&tiered.hot) == before);
}
