//! What a restart, or a changed configuration, makes of what was under way.

use super::*;
use crate::schedule::kept::After;

const DAILY: &str = "0 3 * * *";

fn run(world: &mut World) -> Timestamp {
    match world.tick() {
        Some(Action::Run { scheduled_at, .. }) => scheduled_at,
        other => panic!("no run at {}: {other:?}", world.now),
    }
}

/// Guards against: a night without a backup, as the service was updated during it, and a backup
/// that ends the service again and again.
#[test]
fn a_run_that_the_end_of_the_service_cut_off_is_made_up_once() {
    let timings = vec![timing("a", DAILY, "UTC")];
    let mut world = World::new(timings, "2026-11-01T00:30:00Z");
    world.now = moment("2026-11-01T03:00:00Z");
    for _ in 0..2 {
        let scheduled_at = run(&mut world);
        assert_eq!(scheduled_at, moment("2026-11-01T03:00:00Z"));
        world.begin("a", scheduled_at);
        world.history.get_mut("a").expect("begun").is_completed = false;
        world.now += SignedDuration::from_mins(5);
        world.restart();
    }
    assert_eq!(world.tick(), None);
    // One that failed by itself, or that somebody cancelled, is no such run.
    world.now = moment("2026-11-02T03:00:00Z");
    let scheduled_at = run(&mut world);
    world.begin("a", scheduled_at);
    let last = world.history.get_mut("a").expect("begun");
    last.is_completed = false;
    let operation_id = last.operation_id.clone();
    world.machine.backup_has_ended("a", &operation_id);
    world.machine.has_ended();
    world.keep();
    world.restart();
    assert_eq!(world.tick(), None);
    // Nor is one that has succeeded, though the service did not live to see it.
    world.now = moment("2026-11-03T03:00:00Z");
    let scheduled_at = run(&mut world);
    world.begin("a", scheduled_at);
    world.restart();
    assert_eq!(world.tick(), None);
}

/// Guards against: a run that is lost, as an operation of earlier is taken for it.
#[test]
fn an_operation_of_earlier_is_not_the_one_that_was_to_begin() {
    for fails_before in [false, true] {
        let timings = vec![timing("a", DAILY, "UTC")];
        let mut world = World::new(timings, "2026-11-01T00:30:00Z");
        world.now = moment("2026-11-01T02:00:00Z");
        world.record("a", world.now);
        if fails_before {
            world.now = moment("2026-11-01T03:00:00Z");
            run(&mut world);
            world.machine.has_failed("a", world.now, "no such database");
            world.machine.has_ended();
            world.keep();
        }
        world.now = moment("2026-11-02T03:00:00Z");
        run(&mut world);
        // Killed before the engine answers.
        world.restart();
        assert_eq!(run(&mut world), moment("2026-11-02T03:00:00Z"));
    }
}

/// Guards against: a copy that is never made, as an editor emptied the file for a while.
#[test]
fn a_schedule_that_returns_has_its_copies_and_makes_nothing_up() {
    let timings = vec![timing("a", DAILY, "UTC")];
    let mut world = World::new(timings.clone(), "2026-11-01T00:30:00Z");
    let to = ["offsite".to_owned()];
    (world.machine).add_copies("a", ("first", Some("local")), &to, world.now);
    world.machine.configure(Vec::new(), world.now);
    world.keep();
    world.timings = Vec::new();
    world.restart();
    world.now = moment("2026-11-03T00:30:00Z");
    assert_eq!(world.tick(), None);
    let back = timings.into_iter().map(Arc::new).collect();
    world.machine.configure(back, world.now);
    let Some(Action::Copy { copy, .. }) = world.tick() else {
        panic!("the copy is still to be made")
    };
    assert_eq!(copy.backup_id, "first");
    assert_eq!(world.machine.kept().schedules["a"].removed_at, None);
    world.machine.has_ended();
    // After a month nobody remembers it.
    world.machine.configure(Vec::new(), world.now);
    let later = world.now + SignedDuration::from_hours(24 * 31);
    world.machine.configure(Vec::new(), later);
    assert!(world.machine.kept().schedules.is_empty());
}

/// Guards against: a backup that is never verified, and a target that is never pruned, since the
/// service was ended before.
#[test]
fn what_was_to_follow_a_backup_is_done_after_a_restart() {
    let timings = vec![timing("a", DAILY, "UTC")];
    let mut world = World::new(timings, "2026-11-01T00:30:00Z");
    let after = After {
        backup_id: "first".to_owned(),
        from: None,
        targets: vec!["local".to_owned()],
    };
    world.machine.set_following("a", Some(after.clone()));
    world.keep();
    world.restart();
    assert!(world.machine.wakes_at().is_some_and(|at| at <= world.now));
    let name = "a".to_owned();
    assert_eq!(world.tick(), Some(Action::Finish { name, after }));
    world.machine.set_following("a", None);
    world.machine.has_ended();
    assert_eq!(world.tick(), None);
}
