//! Runs with the real engine, under a controlled clock.

use arc_backup::{BackupOptions, Origin, Request, Who};
use arc_backup_core::Scope;

use super::world::World;

const HOURLY: &str = "[[arc_backup.schedule]]\nname = \"hourly\"\ncron = \"0 * * * *\"\n";

fn somebody() -> Who {
    Who {
        actor: "somebody".to_owned(),
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    }
}

/// Guards against: a backup that looks like one made by hand, or that is not verified or rehearsed.
#[test]
fn each_step_is_an_operation_of_its_schedule() {
    let settings =
        format!("{HOURLY}verify = \"full\"\nrehearse = \"50%\"\nlabels = [\"by-itself\"]\n");
    let world = World::new(&settings, "2026-11-01T00:30:00Z");
    world.quiet_at("2026-11-01T00:59:59Z", "hourly");
    world.at("2026-11-01T01:00:00Z", "hourly", 3);
    let operations = world.operations("hourly");
    assert_eq!(world.did("hourly"), ["backup", "verify", "rehearse"]);
    let (_, shown) = (world.instance).json(&["show", &operations[0].backup_id]);
    assert_eq!(shown["last_rehearsed"]["share"], 0.5, "{shown}");
    for operation in &operations {
        assert_eq!(operation.origin, Origin::Schedule, "{operation:?}");
        assert_eq!(operation.actor, "hourly", "{operation:?}");
        assert_eq!(
            operation.schedule.as_deref(),
            Some("hourly"),
            "{operation:?}"
        );
        assert_eq!(
            operation.backup_id, operations[0].backup_id,
            "{operation:?}"
        );
    }
    let kept = world.kept("hourly");
    assert_eq!(
        kept["last_run"]["scheduled_at"], "2026-11-01T01:00:00Z",
        "{kept}"
    );
    assert_eq!(
        kept["last_run"]["operation_id"], operations[0].operation_id,
        "{kept}"
    );
}

/// Guards against: no backup after a weekend without power, or one for each hour of it.
#[test]
fn runs_missed_while_the_service_was_down_are_made_up_once() {
    let mut world = World::new(HOURLY, "2026-11-01T00:30:00Z");
    world.at("2026-11-01T01:00:10Z", "hourly", 1);
    world.restart("2026-11-03T09:20:00Z");
    world.at("2026-11-03T09:20:00Z", "hourly", 2);
    world.quiet_at("2026-11-03T09:59:00Z", "hourly");
    // The kept file is lost: the history knows. It is damaged: the same, and it is set aside.
    for (now, text) in [
        ("2026-11-03T09:59:10Z", None),
        ("2026-11-03T09:59:20Z", Some("{\"sch")),
    ] {
        world.stop();
        let path = world.kept_path();
        std::fs::remove_file(&path).unwrap();
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        // The history's times are real ones, later than this clock: nothing is made up.
        world.restart(now);
        assert_eq!(world.kept("hourly")["cron"], "0 * * * *");
        if text.is_some() {
            assert!(path.with_extension("json.damaged").exists());
        }
    }
}

/// Guards against: a restart in the middle of things that makes a backup again.
#[test]
fn a_restart_repeats_no_run() {
    let mut world = World::new(HOURLY, "2026-11-01T00:30:00Z");
    world.at("2026-11-01T01:00:00Z", "hourly", 1);
    for now in [
        "2026-11-01T01:00:00Z",
        "2026-11-01T00:59:00Z",
        "2026-11-01T01:59:59Z",
    ] {
        world.restart(now);
        world.quiet_at(now, "hourly");
    }
    world.at("2026-11-01T02:00:00Z", "hourly", 2);
}

/// Guards against: a schedule that stops after a failure, or that prunes after one.
#[test]
fn after_a_failed_backup_nothing_follows_and_the_next_run_is_on_time() {
    let settings = format!("{HOURLY}verify = \"quick\"\n");
    let world = World::new(&settings, "2026-11-01T00:30:00Z");
    let folder = world.instance.path("data/arc");
    std::fs::rename(&folder, folder.with_extension("away")).unwrap();
    world.at("2026-11-01T01:00:00Z", "hourly", 1);
    assert_eq!(world.did("hourly"), ["backup failed"]);
    std::fs::rename(folder.with_extension("away"), &folder).unwrap();
    world.quiet_at("2026-11-01T01:59:00Z", "hourly");
    world.at("2026-11-01T02:00:00Z", "hourly", 3);
    assert_eq!(world.did("hourly"), ["backup failed", "backup", "verify"]);
}

/// Guards against: a run that is lost since somebody's own backup was at work, or two at once.
#[test]
fn a_run_waits_for_an_operation_of_somebody_else() {
    let world = World::new(HOURLY, "2026-11-01T00:30:00Z");
    let large = world
        .instance
        .path("data/arc/iot/temperature/large.parquet");
    std::fs::File::create(&large)
        .unwrap()
        .set_len(4 << 30)
        .unwrap();
    let request = Request::Backup(BackupOptions::of(Scope::whole()));
    let by_hand = world.run(world.engine.start(request, somebody())).unwrap();
    world.clock.set("2026-11-01T01:00:00Z");
    let reason = || world.kept("hourly")["waiting"]["reason"].clone();
    world.wait("it waits", || reason().is_string());
    assert!(
        reason().as_str().unwrap().contains("backup"),
        "{}",
        reason()
    );
    world.quiet_at("2026-11-01T01:00:04Z", "hourly");
    std::fs::remove_file(&large).unwrap();
    by_hand.cancel("the test");
    world.run(by_hand.wait());
    world.at("2026-11-01T01:05:00Z", "hourly", 1);
    assert_eq!(world.did("hourly"), ["backup"]);
    let kept = world.kept("hourly");
    assert_eq!(
        kept["last_run"]["scheduled_at"], "2026-11-01T01:00:00Z",
        "{kept}"
    );
    assert_eq!(kept["waiting"], serde_json::Value::Null, "{kept}");
}

/// Guards against: a second target that is down and stops the backups, or a copy that is forgotten.
#[test]
fn with_one_of_two_targets_down_the_backup_succeeds_and_the_copy_is_tried_again() {
    let instance = super::world::instance("");
    let far = instance.path("far").display().to_string();
    instance.configure(&format!(
        "[backup.targets.far]\ntype = \"local\"\nlocal_path = \"{far}\"\n{HOURLY}copy_to = [\"far\"]\n"
    ));
    let mut world = World::with(instance, arc_backup::Registry::new, "2026-11-01T00:30:00Z");
    (world.work.failures.lock().unwrap()).extend(["far is down", "far is still down"]);
    world.at("2026-11-01T01:00:00Z", "hourly", 1);
    assert_eq!(world.did("hourly"), ["backup"]);
    let pending = |world: &World| world.kept("hourly")["copies"][0].clone();
    world.wait("the failed copy is recorded", || {
        pending(&world)["attempts"] == 1
    });
    assert_eq!(pending(&world)["error"], "far is down");
    world.clock.set("2026-11-01T01:01:05Z");
    world.wait("it is tried again", || pending(&world)["attempts"] == 2);
    assert_eq!(pending(&world)["error"], "far is still down");
    // Across a restart.
    world.restart("2026-11-01T01:02:00Z");
    assert_eq!(pending(&world)["attempts"], 2);
    world.clock.set("2026-11-01T01:04:00Z");
    world.wait("it is copied", || pending(&world).is_null());
    let id = world.operations("hourly")[0].backup_id.clone();
    assert_eq!(*world.work.copies.lock().unwrap(), [(id, "far".to_owned())]);
}

/// Guards against: an edit that needs a restart, and a broken file that stops the backups.
#[test]
fn an_edited_file_is_taken_up_and_a_broken_one_is_not() {
    let world = World::new(HOURLY, "2026-11-01T00:30:00Z");
    let crons = || -> Vec<String> {
        let schedules = world.scheduler.schedules().0;
        schedules
            .iter()
            .map(|one| one.timing.cron.to_string())
            .collect()
    };
    world.edit("0 * * * *", "15 * * * *");
    world.wait("it is taken up", || crons() == ["15 * * * *"]);
    world.quiet_at("2026-11-01T01:05:00Z", "hourly");
    world.at("2026-11-01T01:15:00Z", "hourly", 1);
    world.edit("15 * * * *", "every hour");
    world.wait("the fault is shown", || {
        world.scheduler.schedules().1.is_some()
    });
    let fault = world.scheduler.schedules().1.unwrap();
    assert!(
        fault.contains("hourly") && fault.contains("every hour"),
        "{fault}"
    );
    world.at("2026-11-01T02:15:00Z", "hourly", 2);
    world.edit(
        "cron = \"every hour\"",
        "cron = \"15 * * * *\"\ntarget = \"moon\"",
    );
    let names_moon = || {
        world
            .scheduler
            .schedules()
            .1
            .is_some_and(|fault| fault.contains("moon"))
    };
    world.wait("the next fault is shown", names_moon);
    world.edit("target = \"moon\"", "");
    world.wait("it is well again", || {
        world.scheduler.schedules().1.is_none()
    });
    let second = "[[arc_backup.schedule]]\nname = \"second\"\ncron = \"30 * * * *\"\n";
    world.instance.configure(second);
    world.wait("the new one is taken up", || crons().len() == 2);
    world.at("2026-11-01T02:30:00Z", "second", 1);
    world.edit(second, "");
    world.wait("the old one is gone", || crons().len() == 1);
    world.at("2026-11-01T03:40:00Z", "hourly", 3);
    assert_eq!(world.operations("second").len(), 1);
}

/// Guards against: a backup during the work for which somebody paused the schedule.
#[test]
fn a_pause_lasts_across_a_restart() {
    let mut world = World::new(HOURLY, "2026-11-01T00:30:00Z");
    world.at("2026-11-01T01:00:00Z", "hourly", 1);
    world.instance.ok(&["schedules", "pause", "hourly"]);
    world.wait("it is seen", || world.kept("hourly")["paused"] == true);
    world.quiet_at("2026-11-01T02:00:00Z", "hourly");
    world.restart("2026-11-01T03:30:00Z");
    world.quiet_at("2026-11-01T04:00:00Z", "hourly");
    let (_, shown) = world.instance.json(&["schedules", "hourly"]);
    assert_eq!(
        (&shown["paused"], &shown["next_runs"]),
        (&true.into(), &serde_json::json!([]))
    );
    assert!(shown["paused_by"].is_string(), "{shown}");
    world.instance.ok(&["schedules", "resume", "hourly"]);
    world.wait("it is seen", || world.kept("hourly")["paused"] == false);
    world.quiet_at("2026-11-01T04:10:00Z", "hourly");
    world.at("2026-11-01T05:00:00Z", "hourly", 2);
}

/// Guards against: a run by hand that is followed by nothing, or that changes the next one.
#[test]
fn a_run_by_hand_is_followed_as_any_other() {
    let settings = format!("{HOURLY}verify = \"quick\"\n");
    let world = World::new(&settings, "2026-11-01T00:30:00Z");
    let running = world
        .run(world.scheduler.run_now("hourly", somebody()))
        .unwrap();
    world.run(running.wait());
    world.at("2026-11-01T00:31:00Z", "hourly", 2);
    assert_eq!(world.did("hourly"), ["backup", "verify"]);
    let first = &world.operations("hourly")[0];
    assert_eq!((first.origin, &*first.actor), (Origin::Cli, "somebody"));
    assert_eq!(world.kept("hourly")["last_run"], serde_json::Value::Null);
    world.at("2026-11-01T01:00:00Z", "hourly", 4);
    let error = world.run(world.scheduler.run_now("hourli", somebody()));
    let error = error.expect_err("no such schedule").to_string();
    assert!(error.contains("did you mean \"hourly\""), "{error}");
}
