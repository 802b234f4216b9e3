//! Services that end in the middle, are two, or meet what can't be done.

use super::world::{World, instance};
use crate::support::text;

const HOURLY: &str = "[[arc_backup.schedule]]\nname = \"hourly\"\ncron = \"0 * * * *\"\n";

/// Guards against: no backup until tomorrow, as the service was restarted during tonight's.
#[test]
fn a_backup_that_the_end_of_the_service_cuts_off_is_made_again() {
    let mut world = World::new(HOURLY, "2026-11-01T00:30:00Z");
    let large = (world.instance).path("data/arc/iot/temperature/large.parquet");
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(4 << 30).unwrap();
    world.clock.set("2026-11-01T01:00:00Z");
    world.wait("it begins", || world.kept("hourly")["last_run"].is_object());
    world.stop();
    std::fs::remove_file(&large).unwrap();
    world.restart("2026-11-01T01:10:00Z");
    world.at("2026-11-01T01:10:00Z", "hourly", 2);
    assert_eq!(world.did("hourly"), ["backup cancelled", "backup"]);
    let kept = world.kept("hourly");
    assert_eq!(
        kept["last_run"]["scheduled_at"], "2026-11-01T01:00:00Z",
        "{kept}"
    );
    world.restart("2026-11-01T01:20:00Z");
    world.quiet_at("2026-11-01T01:30:00Z", "hourly");
}

/// Guards against: every run twice, and pending copies that are lost, while an old service ends and
/// a new one has begun.
#[test]
fn of_two_services_one_runs_the_schedules() {
    let mut world = World::new(HOURLY, "2026-11-01T00:30:00Z");
    let (second, ended) = world.second();
    world.wait("the second says so", || second.schedules().1.is_some());
    let fault = second.schedules().1.unwrap();
    assert!(fault.contains("another service"), "{fault}");
    world.at("2026-11-01T01:00:00Z", "hourly", 1);
    world.quiet_at("2026-11-01T01:00:30Z", "hourly");
    world.stop();
    world.wait("the second takes over", || second.schedules().1.is_none());
    ended.cancel();
}

/// Guards against: a run of which nobody sees that it failed, as it had no operation.
#[test]
fn a_run_that_cannot_begin_is_a_failure_that_is_shown() {
    let settings = format!("{HOURLY}databases = [\"nope\"]\n");
    let world = World::new(&settings, "2026-11-01T00:30:00Z");
    world.clock.set("2026-11-01T01:00:00Z");
    world.wait("it fails", || {
        world.kept("hourly")["last_run"]["error"].is_string()
    });
    let (_, shown) = world.instance.json(&["schedules", "hourly"]);
    let failure = &shown["last_failure"];
    assert!(
        failure["error"].as_str().unwrap().contains("nope"),
        "{shown}"
    );
    assert_eq!(
        (&failure["operation"], failure.get("operation_id")),
        (&"backup".into(), None),
        "{shown}"
    );
    let shown = world.instance.ok(&["schedules"]);
    assert!(
        shown.contains("last failure") && shown.contains("nope"),
        "{shown}"
    );
}

/// Guards against: copies that are forgotten, as the file was empty or without the schedule for a
/// while.
#[test]
fn a_schedule_that_was_gone_for_a_while_makes_its_copies() {
    let instance = instance("");
    let far = instance.path("far").display().to_string();
    instance.configure(&format!(
        "[backup.targets.far]\ntype = \"local\"\nlocal_path = \"{far}\"\n{HOURLY}copy_to = [\"far\"]\n"
    ));
    let world = World::with(instance, arc_backup::Registry::new, "2026-11-01T00:30:00Z");
    (world.work.failures.lock().unwrap()).push_back("far is down");
    world.clock.set("2026-11-01T01:00:00Z");
    let pending = || world.kept("hourly")["copies"][0].clone();
    world.wait("the copy fails", || pending()["attempts"] == 1);
    let path = world.instance.path("arc.toml");
    let whole = std::fs::read_to_string(&path).unwrap();
    let count = || world.scheduler.schedules().0.len();
    std::fs::write(&path, whole.split("[[").next().unwrap()).unwrap();
    world.wait("it is gone", || count() == 0);
    std::fs::write(&path, whole).unwrap();
    world.wait("it is back", || count() == 1);
    world.clock.set("2026-11-01T01:05:00Z");
    world.wait("it is copied", || {
        world.work.copies.lock().unwrap().len() == 2 && pending().is_null()
    });
}

/// Guards against: a green check, where no service ever took the schedule up.
#[test]
fn a_schedule_that_no_service_runs_fails_the_check() {
    let instance = instance(&HOURLY.replace("0 * * * *", "* * * * *"));
    instance.ok(&["backup"]);
    assert_eq!(instance.run(&["check"]).status.code(), Some(0));
    let file = std::fs::File::options()
        .append(true)
        .open(instance.path("arc.toml"))
        .unwrap();
    let earlier = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    file.set_modified(earlier).unwrap();
    let output = instance.run(&["check"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("hourly") && said.contains("no service has taken it up"),
        "{said}"
    );
}
