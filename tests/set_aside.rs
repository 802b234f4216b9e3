//! Replaced files with real rows: an older backup is restored over data that was compacted since.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/arc_writer/mod.rs"]
mod arc_writer;
#[path = "support/stores.rs"]
mod stores;
mod support;

use std::collections::BTreeSet;

use arc_writer::check::Files;
use arc_writer::files::ids_in;
use arc_writer::scene::{places, seed, writer_of};
use stores::{Kind, Place, contents, s3_server};

/// Restores an older backup over compacted data, and then the newer one over that.
fn restore_over_compacted(kind: Kind, target: &str, prefix: &str) {
    let case = format!("{kind:?} to {target}, prefix {prefix:?}");
    let server = s3_server();
    let (instance, live, far) = places(kind, &server, prefix);
    let near = Place::local(&instance, "data/backups");
    let writer = writer_of(&live, seed());
    let backup = || instance.ok(&["backup", "--target", target]);
    let state = || (contents(&live.sink), writer.ids());
    writer.fill(200);
    let (old, old_id) = (state(), backup());
    writer.compact_all();
    writer.rewrite(20);
    writer.fill(40);
    let (new, new_id) = (state(), backup());
    for (id, from, to) in [(old_id, &new, &old), (new_id, &old, &new)] {
        let (code, restored) = instance.json(&["restore", &id, "--no-metadata", "--yes"]);
        assert_eq!(code, 0, "{case}: {restored}");
        let after = contents(&live.sink);
        let mut rows = BTreeSet::new();
        for (key, bytes) in &after {
            for id in ids_in(bytes.clone()).unwrap() {
                assert!(rows.insert(id), "{case}: row {id} of {key} is there twice");
            }
        }
        assert!(rows == to.1, "{case}: other rows than in the backup");
        assert!(after == to.0, "{case}: other files than in the backup");

        // All replaced files are in one of the places for files that are set aside.
        let area = format!(
            "before-restore/{}/",
            restored["operation_id"].as_str().unwrap()
        );
        let mut aside = Files::new();
        for sink in [&live.all, &far.sink, &near.sink] {
            let found = contents(sink).into_iter();
            aside.extend(found.filter_map(|(key, bytes)| {
                let key = key.split_once(&area)?.1.to_owned();
                Some((key, bytes))
            }));
        }
        let mut replaced = from.0.clone();
        replaced.retain(|key, bytes| after.get(key) != Some(bytes));
        assert!(
            aside == replaced,
            "{case}: not all that was replaced was kept"
        );
        assert_eq!(restored["set_aside_files"], aside.len(), "{case}");
        assert!(aside.len() > 50, "{case}: hardly anything was compacted");
        println!(
            "{case}: {} rows, {} files set aside",
            rows.len(),
            aside.len()
        );
    }
}

/// Guards against doubled rows after a restore, and losing the files that it replaced.
#[test]
fn an_older_backup_comes_back_over_compacted_data_without_a_row_twice_and_with_all_kept() {
    restore_over_compacted(Kind::Local, "local", "");
    restore_over_compacted(Kind::S3, "far", "live/arc");
    restore_over_compacted(Kind::S3, "local", "");
    restore_over_compacted(Kind::Azure, "far", "");
}

#[test]
#[ignore = "the other targets"]
fn an_older_backup_comes_back_from_the_other_targets_as_well() {
    restore_over_compacted(Kind::Local, "far", "");
    restore_over_compacted(Kind::S3, "local", "live/arc");
    restore_over_compacted(Kind::S3, "far", "");
    restore_over_compacted(Kind::Azure, "local", "");
}
