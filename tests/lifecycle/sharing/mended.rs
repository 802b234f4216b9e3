//! Targets that are not as a deletion leaves them: what is unknown costs no backup a file.

use arc_backup::{CopyOptions, PruneOptions, Request, Rules};
use serde_json::{Value, json};

use super::world::{Kind, World, parsed};
use super::{base_and_incremental, referring};

fn manifest(world: &World, id: &str) -> Value {
    serde_json::from_slice(&world.text(&format!("{id}/manifest.json")).unwrap()).unwrap()
}

fn write_manifest(world: &World, id: &str, raw: Value) {
    let name = format!("{id}/manifest.json");
    let written = referring::write_manifest(&*world.target, &name, raw);
    world.runtime.block_on(written);
}

/// Guards against: files that a backup of a newer release needs, and this one can't read.
#[test]
fn a_backup_that_cannot_be_read_keeps_older_ones_from_being_deleted() {
    let world = World::new(Kind::Memory);
    let (base, incremental) = base_and_incremental(&world);
    let good = manifest(&world, &incremental);
    let mut newer = good.clone();
    newer["format"] = json!(99);
    write_manifest(&world, &incremental, newer);
    let before = world.objects();
    let ended = world
        .run(Request::Delete(
            parsed(&base),
            None,
            arc_backup::LastGood::Delete,
        ))
        .unwrap();
    let error = ended.error.expect("it may need files");
    assert!(
        error.contains(&incremental) && error.contains("format 99"),
        "{error}"
    );
    assert!(world.estimate(&[&base]).is_err());
    assert!(world.objects() == before, "something was changed");
    // What can't be read can be deleted, and no other needs files of it.
    write_manifest(&world, &incremental, good);
    world.delete(&base, "readable again");
    assert_eq!(world.listed("readable again"), [incremental.as_str()]);
}

/// Guards against: a target in which nothing can be deleted, as an old backup lies in an archive.
#[test]
fn an_unreadable_backup_that_is_older_keeps_none_from_being_deleted() {
    let world = World::new(Kind::Memory);
    let (_, old) = base_and_incremental(&world);
    let mut newer = manifest(&world, &old);
    newer["format"] = json!(99);
    write_manifest(&world, &old, newer);
    // Ids have seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let id = world.full();
    world.delete(&id, "newer than what can't be read");
}

/// Guards against: a backup that lost its manifest, is mended, and has lost its files meanwhile.
#[test]
fn a_backup_without_its_manifest_keeps_what_its_inventory_names() {
    let world = World::new(Kind::Memory);
    let (base, incremental) = base_and_incremental(&world);
    let raw = manifest(&world, &incremental);
    for broken in [None, Some(&b"{ torn"[..])] {
        let name = format!("{incremental}/manifest.json");
        match broken {
            None => world.drop_objects(&[&name]),
            Some(text) => world.put(&name, text),
        }
        let estimate = world.estimate(&[&base]).unwrap();
        assert_eq!(estimate.retained_files, 2);
    }
    world.delete(&base, "with a damaged one beside it");
    write_manifest(&world, &incremental, raw);
    assert_eq!(world.listed("mended"), [incremental.as_str()]);
    world.verify(&incremental, "mended");
    world.delete(&incremental, "mended");
    world.is_empty("mended");
}

/// Guards against: a list that is broken or lost, and is followed or never made again.
#[test]
fn a_sweep_mends_lists_and_index_and_removes_what_nobody_needs() {
    type Spoil = fn(&World, &str);
    let cases: [(&str, Spoil, u64); 6] = [
        (
            "torn list",
            |world, base| {
                let name = format!("{base}/retained.jsonl");
                let text = world.text(&name).unwrap();
                world.put(&name, &text[..text.len() / 2]);
            },
            0,
        ),
        (
            "lost list",
            |world, base| {
                world.drop_objects(&[&format!("{base}/retained.jsonl")]);
            },
            0,
        ),
        (
            "lost index",
            |world, base| {
                world.drop_objects(&[&format!(".arc-backup/retained/{base}")]);
            },
            0,
        ),
        (
            "a file that nobody needs",
            |world, base| {
                world.put(&format!("{base}/data/iot/m/zzz.parquet"), b"12345");
            },
            5,
        ),
        (
            "an entry without a folder",
            |world, _| {
                world.put(
                    ".arc-backup/retained/backup-20260101-000000-00000000",
                    b"{}",
                );
            },
            0,
        ),
        (
            "a list for a backup that is gone",
            |world, base| {
                // As if a deletion had died right after its manifest.
                let name = format!("{base}/retained.jsonl");
                let list = world.text(&name).unwrap();
                let old = world.listed("before")[0].clone();
                world.incremental(&old);
                world.delete(&old, "the one that the list is for");
                world.put(&name, &list);
            },
            0,
        ),
    ];
    for (case, spoil, bytes) in cases {
        let world = World::new(Kind::Memory);
        let (base, _) = base_and_incremental(&world);
        world.delete(&base, case);
        spoil(&world, &base);
        let [survivor] = &world.listed(case)[..] else {
            panic!("{case}: one is left");
        };
        let before = world.objects();
        let shown = world.sweep(false);
        assert!(
            world.objects() == before,
            "{case}: a look changed something"
        );
        let size: u64 = shown.sizes.iter().map(|one| one.bytes).sum();
        assert_eq!(size, bytes, "{case}: {:?}", shown.sizes);
        let swept = world.sweep(true);
        assert!(
            swept.targets.iter().all(|(_, one)| one.faults.is_empty()),
            "{case}: {swept:?}"
        );
        assert_eq!(world.leftovers(), Vec::<String>::new(), "{case}");
        for name in [
            format!("{base}/retained.jsonl"),
            format!(".arc-backup/retained/{base}"),
        ] {
            assert!(
                world.text(&name).is_some(),
                "{case}: `{name}` was not mended"
            );
        }
        assert_eq!(world.listed(case), [survivor.as_str()]);
        world.verify(survivor, case);
        assert!(
            world.sweep(false).targets[0].1.unfinished.is_empty(),
            "{case}"
        );
        world.delete(survivor, case);
        world.is_empty(case);
    }
}

/// Guards against: a damaged inventory, by which files that it names are taken for unneeded.
#[test]
fn a_base_stays_where_an_inventory_does_not_say_what_it_needs() {
    let world = World::new(Kind::Memory);
    let (base, incremental) = base_and_incremental(&world);
    let other = world.incremental(&base);
    let name = format!("{incremental}/inventory.jsonl.zst");
    let text = world.text(&name).unwrap();
    world.put(&name, &text[..text.len() - 10]);
    let ended = world
        .run(Request::Delete(
            parsed(&base),
            None,
            arc_backup::LastGood::Delete,
        ))
        .unwrap();
    let error = ended.error.expect("what it needs is not known");
    assert!(
        error.contains(&incremental) && error.contains("delete it first"),
        "{error}"
    );
    world.verify(&other, "the base is there");
    world.put(&name, &text);
    world.delete(&base, "mended");
    // Now the base is retained: deleting another works, and frees nothing of it.
    world.put(&name, &text[..text.len() - 10]);
    let ended = world.delete(&other, "beside one with a damaged inventory");
    assert!(
        ended.warnings.iter().any(|text| text.contains(&base)),
        "{:?}",
        ended.warnings
    );
    world.delete(&incremental, "the damaged one");
    world.is_empty("at the end");
}

/// Guards against: a backup with a damaged manifest that seems to need nothing, as its inventory
/// can't be read now, or not to its end, or as the manifest names another backup.
#[test]
fn a_damaged_backup_whose_list_can_not_be_read_keeps_what_it_may_need() {
    let world = World::new(Kind::Memory);
    let (base, incremental) = base_and_incremental(&world);
    let raw = manifest(&world, &incremental);
    let (name, list) = (
        format!("{incremental}/manifest.json"),
        format!("{incremental}/inventory.jsonl"),
    );
    let packed_list = format!("{list}.zst");
    let packed = world.text(&packed_list).unwrap();
    let lines = zstd::decode_all(&*packed).unwrap();
    let refused = |case: &str| {
        let before = world.objects();
        assert!(world.estimate(&[&base]).is_err(), "{case}");
        let ended = world
            .run(Request::Delete(
                parsed(&base),
                None,
                arc_backup::LastGood::Delete,
            ))
            .unwrap();
        let error = ended.error.expect(case);
        assert!(error.contains(&incremental), "{case}: {error}");
        assert!(world.objects() == before, "{case}: something was changed");
    };
    world.drop_objects(&[&name]);
    world.fuse.silence(Some(&format!("get {packed_list}")));
    refused("no answer");
    world.fuse.silence(None);
    world.drop_objects(&[&packed_list]);
    world.put(&list, &lines[..lines.len() - 10]);
    refused("cut off");
    world.drop_objects(&[&list]);
    for cut in [0, 10, packed.len() - 1] {
        world.put(&packed_list, &packed[..cut]);
        refused(&format!("compressed, and cut off at {cut}"));
    }
    // A manifest whose seal is broken is believed in nothing that it omits.
    world.put(&packed_list, &packed);
    let mut damaged = raw.clone();
    damaged["stored_in"] = json!({});
    world.put(&name, damaged.to_string().as_bytes());
    assert_eq!(world.estimate(&[&base]).unwrap().retained_files, 2);
    write_manifest(&world, &incremental, raw);
    world.delete(&base, "mended");
    world.verify(&incremental, "mended");
}

/// Guards against: a prune that takes notes that it can't list for none, and damaged backups for
/// good ones.
#[test]
fn without_the_notes_nothing_is_pruned() {
    let world = World::new(Kind::Memory);
    base_and_incremental(&world);
    let mut options = PruneOptions::of(None);
    options.rules = Some(Rules {
        keep_last: 1,
        ..Rules::default()
    });
    let before = world.objects();
    world.fuse.silence(Some("list .arc-backup/notes/"));
    let ended = world.run(Request::Prune(options.clone()));
    let error = match ended {
        Ok(ended) => ended.error.expect("the notes can't be listed"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("notes"), "{error}");
    let after = world.objects();
    assert!(
        before.keys().all(|name| after.contains_key(name)),
        "{after:?}"
    );
    world.fuse.silence(None);
    let ended = world.completed(Request::Prune(options), "with the notes");
    assert_eq!(ended.deleted_backups.len(), 1);
}

/// Guards against: a copy that no list shows, as a deletion of an earlier one was killed before it
/// removed its entry in the index of deleted backups.
#[test]
fn a_copy_is_listed_where_a_killed_deletion_left_its_entry() {
    let world = World::with_far(Kind::Memory);
    let id = world.full();
    let far = world.far.clone().unwrap();
    let entry = format!(".arc-backup/retained/{id}");
    let put = referring::put(&*far, &entry, b"{\"files\":1}".to_vec());
    world.runtime.block_on(put);
    let options = CopyOptions::new(parsed(&id), "far").from(Some("local".to_owned()));
    world.completed(Request::Copy(options), "a stale entry");
    let listed = (world.runtime).block_on(world.engine.list(Some("far"), false));
    let listed = listed.unwrap().backups;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].backup_id, id);
}
