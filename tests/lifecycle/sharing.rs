//! Deleting backups whose files others need.

mod daily;
mod deaths;
mod fuse;
mod mended;
mod program;
mod pruned;
mod random;
#[path = "../support/referring.rs"]
pub mod referring;
mod world;

use arc_backup::{Error, Status};
use world::{KINDS, Kind, World, parsed};

/// The live files, by name.
fn live(world: &World) -> Vec<(String, Vec<u8>)> {
    world.runtime.block_on(async {
        let mut found = Vec::new();
        for name in referring::objects(&*world.data).await.into_keys() {
            let bytes = referring::get(&*world.data, &name).await.unwrap();
            found.push((name, bytes));
        }
        found
    })
}

/// Three files: `a` and `b` stay as they are, `c` changes.
fn base_and_incremental(world: &World) -> (String, String) {
    for (name, text) in [("a", "1"), ("b", "22"), ("c", "333")] {
        world.write(name, text);
    }
    let base = world.full();
    world.write("c", "4444");
    let incremental = world.incremental(&base);
    (base, incremental)
}

/// Guards against: an incremental backup that lost its files with its base, or a base of which
/// more stays than is needed.
#[test]
fn a_base_is_deleted_and_what_refers_to_it_is_whole() {
    for kind in KINDS {
        let world = World::new(kind);
        let case = format!("{kind:?}");
        let (base, incremental) = base_and_incremental(&world);
        let data = live(&world);
        let estimate = world.estimate(&[&base]).unwrap();
        assert_eq!(
            (estimate.freed_files, estimate.freed_bytes),
            (1, 3),
            "{case}"
        );
        assert_eq!(
            (estimate.retained_files, estimate.retained_bytes),
            (2, 3),
            "{case}"
        );
        assert!(estimate.needed_by.iter().eq([&incremental]), "{case}");
        let done = world.delete(&base, &case);
        assert_eq!(
            (done.freed_files, done.freed_bytes),
            (Some(1), Some(3)),
            "{case}"
        );
        assert_eq!(
            (done.retained_files, done.retained_bytes),
            (Some(2), Some(3)),
            "{case}"
        );

        assert_eq!(world.listed(&case), [incremental.as_str()]);
        assert_eq!(world.leftovers(), Vec::<String>::new(), "{case}");
        world.verify(&incremental, &case);
        for name in ["a", "b", "c"] {
            world.remove(name);
        }
        world.restore(&incremental, &case);
        assert!(live(&world) == data, "{case}: it was not restored");

        let error = world.run(arc_backup::Request::Delete(
            parsed(&base),
            None,
            arc_backup::LastGood::Delete,
        ));
        let error = error.expect_err("it is deleted already");
        assert!(
            matches!(error.root(), Error::NotFound(_)),
            "{case}: {error}"
        );
        assert!(
            error.to_string().contains("use 2 of its files"),
            "{case}: {error}"
        );

        let estimate = world.estimate(&[&incremental]).unwrap();
        let done = world.delete(&incremental, &case);
        assert_eq!(done.freed_files, Some(3), "{case}");
        assert_eq!(done.freed_files, Some(estimate.freed_files), "{case}");
        world.is_empty(&case);
    }
}

/// Guards against: files that stay although the one backup that needed them is gone, or that go
/// although another still needs them.
#[test]
fn what_is_retained_shrinks_with_the_backups_that_need_it() {
    for kind in KINDS {
        let world = World::new(kind);
        let case = format!("{kind:?}");
        let (base, first) = base_and_incremental(&world);
        world.write("b", "new");
        let second = world.incremental(&base);
        world.delete(&base, &case);
        // The second needs `a` alone.
        let done = world.delete(&first, &case);
        assert_eq!(done.freed_bytes, Some(2 + 4), "{case}");
        assert_eq!(world.leftovers(), Vec::<String>::new(), "{case}");
        assert_eq!(world.listed(&case), [second.as_str()]);
        world.verify(&second, &case);
        world.delete(&second, &case);
        world.is_empty(&case);
    }
}

/// Guards against: a dry run that takes what several deletions share for lost, or for freed twice.
#[test]
fn a_dry_run_of_several_counts_what_they_share_once() {
    let world = World::new(Kind::Memory);
    let (base, first) = base_and_incremental(&world);
    let second = world.incremental(&base);
    for order in [[&base, &first, &second], [&second, &base, &first]] {
        let order = order.map(String::as_str);
        let freed = world.estimate(&order).unwrap();
        // a, b and c of the base, and c of each of the others.
        assert_eq!((freed.freed_files, freed.freed_bytes), (5, 6 + 4 + 4));
        assert_eq!((freed.retained_files, freed.retained_bytes), (0, 0));
        assert!(freed.needed_by.is_empty());
    }
    let some = world.estimate(&[&base, &first]).unwrap();
    assert_eq!((some.freed_files, some.retained_files), (2, 2));
    assert!(some.needed_by.iter().eq([&second]));
}

/// Guards against: more lists than can be merged at once, and files that several backups need.
#[test]
fn many_backups_that_need_parts_of_one_base() {
    let world = World::new(Kind::Memory);
    for number in 0..40 {
        world.write(&format!("f{number:02}"), &format!("text {number}"));
    }
    let base = world.full();
    let mut others = Vec::new();
    for number in 0..20 {
        world.write(&format!("f{number:02}"), "changed");
        others.push(world.incremental(&base));
    }
    world.write("f39", "changed");
    let last = world.incremental(&base);
    // The first needs all but one.
    let done = world.delete(&base, "the base");
    assert_eq!((done.freed_files, done.retained_files), (Some(1), Some(39)));
    for id in &others {
        world.delete(id, "one of many");
        assert_eq!(world.leftovers(), Vec::<String>::new());
    }
    assert_eq!(world.listed("at the end"), [last.as_str()]);
    let left = world
        .objects()
        .into_keys()
        .filter(|name| name.starts_with(&base));
    // 20 to 38, and the list.
    assert_eq!(left.count(), 19 + 1);
}

/// Guards against: a list of backups that asks for the manifest of each deleted one.
#[test]
fn a_list_asks_nothing_of_a_deleted_backup() {
    let world = World::new(Kind::Memory);
    let (base, _) = base_and_incremental(&world);
    world.delete(&base, "the base");
    world.fuse.mend();
    let answer = world
        .runtime
        .block_on(world.engine.list(None, false))
        .unwrap();
    assert_eq!(answer.backups.len(), 1);
    let calls = world.fuse.mend();
    assert!(!calls.is_empty());
    assert!(calls.iter().all(|call| !call.contains(&base)), "{calls:?}");
}

/// Guards against: a new backup in the folder of a deleted one.
#[test]
fn no_backup_is_made_in_the_folder_of_a_deleted_one() {
    let world = World::new(Kind::Memory);
    let (base, incremental) = base_and_incremental(&world);
    world.delete(&base, "the base");
    let data = arc_backup_core::Scope::of_sections([arc_backup_core::Section::Data]);
    let mut options = arc_backup::BackupOptions::of(data);
    options.id = Some(parsed(&base));
    let ended = world.run(arc_backup::Request::Backup(options)).unwrap();
    assert_eq!(ended.status, Status::Failed);
    assert!(ended.error.unwrap().contains("was deleted"));
    world.verify(&incremental, "after that");
}
