//! Death at every call of a deletion and of a sweep, where bytes are shared.

use std::collections::BTreeMap;

use arc_backup::{Request, Status};

use super::base_and_incremental;
use super::referring;
use super::world::{Kind, World, parsed};

/// What is done, and to which backup.
enum Action {
    Delete(String),
    Sweep,
}

type Objects = BTreeMap<String, Vec<u8>>;

/// A base of which two backups need files.
fn of_a_base(world: &World) -> Action {
    let (base, _) = base_and_incremental(world);
    world.write("b", "new");
    world.incremental(&base);
    Action::Delete(base)
}

/// One of two backups that need files of a deleted base.
fn of_one_that_needs_a_deleted_base(world: &World) -> Action {
    let (base, first) = base_and_incremental(world);
    world.write("b", "new");
    world.incremental(&base);
    world.delete(&base, "the base");
    Action::Delete(first)
}

/// The only backup that needs files of a deleted base.
fn of_the_last_that_needs_a_deleted_base(world: &World) -> Action {
    let (base, first) = base_and_incremental(world);
    world.full();
    world.delete(&base, "the base");
    Action::Delete(first)
}

/// A sweep after a deletion that died when its manifest had just gone.
fn of_a_sweep(world: &World) -> Action {
    let Action::Delete(first) = of_one_that_needs_a_deleted_base(world) else {
        unreachable!("it is a deletion");
    };
    world.fuse.mend();
    let before = contents(world);
    world.delete(&first, "to count its calls");
    let calls = world.fuse.mend();
    reset(world, &before);
    let manifest = format!("delete {first}/manifest.json");
    let at = calls.iter().position(|call| *call == manifest).unwrap();
    world.fuse.die_at(at + 1, true);
    let delete = Request::Delete(parsed(&first), None, arc_backup::LastGood::Delete);
    let ended = world.run(delete).map(|ended| ended.status);
    assert_ne!(ended.ok(), Some(Status::Completed), "it has died");
    world.fuse.mend();
    assert!(!world.leftovers().is_empty(), "nothing is left to sweep");
    Action::Sweep
}

fn contents(world: &World) -> Objects {
    let names = world
        .objects()
        .into_keys()
        .filter(|name| !referring::is_lock(name));
    names
        .map(|name| (name.clone(), world.text(&name).unwrap()))
        .collect()
}

fn reset(world: &World, to: &Objects) {
    let there = contents(world);
    let gone: Vec<&str> = (there.keys())
        .filter(|name| !to.contains_key(*name))
        .map(String::as_str)
        .collect();
    world.drop_objects(&gone);
    for (name, bytes) in to {
        if there.get(name) != Some(bytes) {
            world.put(name, bytes);
        }
    }
}

/// Does it; whether it was done.
fn act(world: &World, action: &Action) -> bool {
    match action {
        Action::Delete(id) => {
            let ended = world.run(Request::Delete(
                parsed(id),
                None,
                arc_backup::LastGood::Delete,
            ));
            ended.is_ok_and(|ended| ended.status == Status::Completed)
        }
        Action::Sweep => {
            let swept = world.runtime.block_on(world.engine.sweep(true));
            swept
                .is_ok_and(|swept| (swept.targets.iter()).all(|(_, swept)| swept.faults.is_empty()))
        }
    }
}

/// Dies at every `step`th call, before or after it is done, and at each of the calls that change
/// something.
fn each_call(kind: Kind, scene: fn(&World) -> Action, name: &str, step: usize) {
    let world = World::new(kind);
    let action = scene(&world);
    let before = contents(&world);
    let survivors: Vec<String> = (world.listed(name).into_iter())
        .filter(|id| !matches!(&action, Action::Delete(victim) if victim == id))
        .collect();
    assert!(!survivors.is_empty());
    world.fuse.mend();
    assert!(act(&world, &action), "{name}: without a death");
    let calls = world.fuse.mend();
    assert!(calls.len() > 10, "{name}: {calls:?}");
    assert_eq!(world.listed(name), survivors, "{name}: without a death");
    let mut died = 0;
    for number in 1..=calls.len() {
        let changes = ["delete", "commit"]
            .iter()
            .any(|method| calls[number - 1].starts_with(method));
        if number % step != 0 && !changes {
            continue;
        }
        for is_done in [false, true] {
            let case = format!(
                "{kind:?}, {name}, call {number} `{}`, done: {is_done}",
                calls[number - 1]
            );
            reset(&world, &before);
            world.fuse.die_at(number, is_done);
            died += usize::from(!act(&world, &action));
            world.fuse.mend();
            let listed = world.listed(&case);
            assert!(
                survivors.iter().all(|id| listed.contains(id)),
                "{case}: {listed:?}"
            );
            // Again, or, where it is deleted already, a sweep.
            if let Action::Delete(victim) = &action
                && listed.contains(victim)
            {
                world.delete(victim, &case);
                assert_eq!(
                    world.leftovers(),
                    Vec::<String>::new(),
                    "{case}: after a rerun"
                );
            }
            let seen = world.sweep(false);
            let swept = world.sweep(true);
            assert!(swept.faults.is_empty(), "{case}: {:?}", swept.faults);
            for (_, one) in &swept.targets {
                assert_eq!(one.faults, Vec::<String>::new(), "{case}");
            }
            let shown = |sweep: &arc_backup::Sweep| sweep.targets[0].1.unfinished.clone();
            assert_eq!(
                shown(&seen),
                shown(&swept),
                "{case}: shown and removed differ"
            );
            assert_eq!(
                world.leftovers(),
                Vec::<String>::new(),
                "{case}: after a sweep"
            );
            assert_eq!(world.listed(&case), survivors, "{case}");
            assert!(
                shown(&world.sweep(false)).is_empty(),
                "{case}: a second sweep"
            );
        }
    }
    // A call behind the end, or one that is made again.
    assert!(
        died * 2 > calls.len() / step,
        "{name}: only {died} deaths in {} calls",
        calls.len()
    );
    for id in &survivors {
        world.verify(id, name);
        world.delete(id, name);
    }
    world.is_empty(name);
}

type Scene = (&'static str, fn(&World) -> Action);

const SCENES: [Scene; 4] = [
    ("a base", of_a_base),
    (
        "one that needs a deleted base",
        of_one_that_needs_a_deleted_base,
    ),
    (
        "the last that needs a deleted base",
        of_the_last_that_needs_a_deleted_base,
    ),
    ("a sweep", of_a_sweep),
];

/// Guards against: a death that costs a listed backup a file, or leaves something for ever.
#[test]
fn deaths_at_every_call_in_memory() {
    for (name, scene) in SCENES {
        each_call(Kind::Memory, scene, name, 1);
    }
}

/// The same, on local disk.
#[test]
fn deaths_at_every_call_on_local_disk() {
    for (name, scene) in SCENES {
        each_call(Kind::Local, scene, name, 3);
    }
}

/// The same, in S3: at the calls that change something.
#[test]
fn deaths_in_s3() {
    for (name, scene) in SCENES {
        each_call(Kind::S3, scene, name, 8);
    }
}

/// The same, in S3, at every call.
#[test]
#[ignore = "a minute"]
fn deaths_at_every_call_in_s3() {
    for (name, scene) in SCENES {
        each_call(Kind::S3, scene, name, 1);
    }
}
