//! Real backups, copies and prunes of a schedule, with several targets.

use arc_backup::{BackupOptions, Holder, Origin, Request, Status, Who};
use arc_backup_core::Scope;

use super::world::{World, instance};
use crate::support::Instance;

/// A schedule that keeps its last two backups.
const HOURLY: &str = "[[arc_backup.schedule]]\nname = \"hourly\"\ncron = \"0 * * * *\"\n\
    type = \"incremental\"\nretention = { keep_last = 2 }\n";

/// An instance with a second target in the folder `far`, and these settings.
fn with_far(keys: &str, settings: &str) -> Instance {
    let instance = instance("");
    let far = instance.path("far").display().to_string();
    instance.configure(&format!(
        "[arc_backup.targets.far]\ntype = \"local\"\nlocal_path = \"{far}\"\n{keys}\n{settings}"
    ));
    instance
}

/// The backups in a target, by their ids.
fn held(world: &World, target: &str) -> Vec<String> {
    let answer = world.run(world.engine.list(Some(target), false)).unwrap();
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    let mut ids: Vec<_> = (answer.backups.into_iter())
        .map(|one| one.backup_id)
        .collect();
    ids.sort();
    ids
}

fn sorted<const N: usize>(ids: [&String; N]) -> Vec<String> {
    let mut ids: Vec<_> = ids.into_iter().cloned().collect();
    ids.sort();
    ids
}

/// The backups that the schedule has made, oldest first.
fn made(world: &World) -> Vec<String> {
    let operations = world.operations("hourly").into_iter();
    operations
        .filter(|one| one.operation.as_str() == "backup" && one.status == Status::Completed)
        .map(|one| one.backup_id)
        .collect()
}

/// Makes a backup by hand, of no schedule.
fn by_hand(world: &World) -> arc_backup::Operation {
    let who = Who {
        actor: "somebody".to_owned(),
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    };
    let request = Request::Backup(BackupOptions::of(Scope::whole()));
    let running = world.run(world.engine.start(request, who)).unwrap();
    let ended = world.run(running.wait());
    assert_eq!(ended.status, Status::Completed, "{ended:?}");
    ended
}

/// Guards against: backups that stop since the second target is down, a copy of one that is older
/// than the newest, a target that is not pruned, and rules of a schedule for backups of others.
#[test]
fn a_target_that_is_down_for_a_while_gets_its_copies_later_and_both_are_pruned() {
    let settings = format!("{HOURLY}copy_to = [\"far\"]\nverify = \"full\"\n");
    let world = World::real(with_far("", &settings), "2026-11-01T00:30:00Z");
    let other = by_hand(&world).backup_id;
    let all = ["backup", "copy", "verify", "prune", "prune"];
    world.at("2026-11-01T01:00:00Z", "hourly", 5);
    assert_eq!(world.did("hourly"), all);
    let first = made(&world)[0].clone();
    assert_eq!(held(&world, "far"), std::slice::from_ref(&first));

    // The folder of the second target is a file: nothing can be read or made there.
    let (far, away) = (world.instance.path("far"), world.instance.path("away"));
    std::fs::rename(&far, &away).unwrap();
    std::fs::write(&far, "").unwrap();
    let pending = |world: &World| world.kept("hourly")["copies"][0].clone();
    for (hour, at) in [(2, 1), (3, 2)] {
        world.clock.set(&format!("2026-11-01T{hour:02}:00:00Z"));
        world.wait("the backup is made, and the copy waits", || {
            let made = made(&world);
            made.len() == at + 1
                && pending(&world)["backup_id"] == made[at]
                && pending(&world)["attempts"] == 1
        });
        // The last step of the run.
        world.wait("the first target is pruned", || {
            let prunes = world.did("hourly");
            prunes.iter().filter(|one| *one == "prune").count() == at + 2
        });
    }
    let error = pending(&world)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("far"), "{error}");
    let [_, second, third] = &made(&world)[..] else {
        panic!("{:?}", world.did("hourly"))
    };
    assert_eq!(held(&world, "local"), sorted([&other, second, third]));

    std::fs::remove_file(&far).unwrap();
    std::fs::rename(&away, &far).unwrap();
    let before = world.did("hourly").len();
    world.at("2026-11-01T03:05:00Z", "hourly", before + 2);
    assert_eq!(world.did("hourly")[before..], ["copy", "prune"]);
    let last = world.operations("hourly").pop().unwrap();
    assert_eq!(last.target.as_deref(), Some("far"), "{last:?}");
    assert_eq!(held(&world, "far"), sorted([&first, third]));

    world.at("2026-11-01T04:00:00Z", "hourly", before + 7);
    assert_eq!(world.did("hourly")[before + 2..], all);
    let fourth = &made(&world)[3];
    assert_eq!(held(&world, "local"), sorted([&other, third, fourth]));
    assert_eq!(held(&world, "far"), sorted([third, fourth]));
    for target in ["local", "far"] {
        for id in held(&world, target) {
            world.instance.ok(&["verify", &id, "--target", target]);
        }
    }
}

/// Guards against: data in a target that it was not to go to, as a schedule made the backup.
#[test]
fn a_schedule_without_a_target_goes_where_each_database_goes() {
    let settings = HOURLY.replace("= 2", "= 1") + "verify = \"full\"\n";
    let instance = with_far("databases = [\"iot\"]", &settings);
    let data = instance.path("data/arc/metrics/cpu");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("a.parquet"), "a").unwrap();
    let world = World::real(instance, "2026-11-01T00:30:00Z");
    let by_hand = by_hand(&world);
    assert_eq!(by_hand.targets, ["far", "local"], "{by_hand:?}");
    let all = ["backup", "verify", "prune", "prune"];
    for hour in 1..3 {
        world.at(
            &format!("2026-11-01T{hour:02}:00:00Z"),
            "hourly",
            hour * all.len(),
        );
    }
    assert_eq!(world.did("hourly"), [all, all].concat());
    for operation in &world.operations("hourly")[..2] {
        assert_eq!(operation.targets, by_hand.targets, "{operation:?}");
    }
    let second = &made(&world)[1];
    for target in ["local", "far"] {
        let folders = std::fs::read_dir(world.instance.path(match target {
            "local" => "backups",
            _ => "far",
        }));
        let names = folders.unwrap().flatten().map(|one| one.file_name());
        let mut ids: Vec<_> = (names.filter_map(|name| name.into_string().ok()))
            .filter(|name| name.starts_with("backup-"))
            .collect();
        ids.sort();
        assert_eq!(ids, sorted([&by_hand.backup_id, second]), "{target}");
    }
    // One that names its target has all of them there.
    world.edit("verify = \"full\"", "target = \"local\"");
    world.wait("it is taken up", || {
        world.scheduler.schedules().0[0].names_target
    });
    world.at("2026-11-01T03:00:00Z", "hourly", 2 * all.len() + 2);
    let last = &world.operations("hourly")[2 * all.len()];
    assert_eq!(
        (last.target.as_deref(), &last.targets[..]),
        (Some("local"), &[][..]),
        "{last:?}"
    );
}

/// Guards against: a prune that fails, or is given up, since somebody verifies a backup there.
#[test]
fn a_prune_waits_for_those_who_read_in_the_target() {
    let world = World::real(instance(HOURLY), "2026-11-01T00:30:00Z");
    let holder = Holder::this("verify", "20260211-143022-5f0c1d2e");
    let repository = world.engine.repository(Some("local")).unwrap();
    let lease = world.run(repository.reader_lease(&holder)).unwrap();
    world.at("2026-11-01T01:00:00Z", "hourly", 1);
    world.quiet_at("2026-11-01T01:00:20Z", "hourly");
    assert_eq!(world.did("hourly"), ["backup"]);
    world.run(lease.release()).unwrap();
    world.at("2026-11-01T01:00:40Z", "hourly", 2);
    assert_eq!(world.did("hourly"), ["backup", "prune"]);
}

/// Guards against: a backup that is pruned while its copy is still to be made, as the second target
/// is down.
#[test]
fn a_backup_that_is_still_to_be_copied_is_not_pruned() {
    let settings = format!("{HOURLY}copy_to = [\"far\"]\n");
    let instance = with_far("", &settings);
    std::fs::write(instance.path("far"), "").unwrap();
    let world = World::real(instance, "2026-11-01T00:30:00Z");
    world.clock.set("2026-11-01T01:00:00Z");
    world.wait("the copy fails", || {
        world.kept("hourly")["copies"][0]["attempts"] == 1
    });
    let first = made(&world)[0].clone();
    let newer = by_hand(&world).backup_id;
    let prune = ["prune", "--keep-last", "1"];
    let shown = world.instance.ok(&prune);
    assert!(shown.contains("it is still to be copied to far"), "{shown}");
    world.instance.ok(&[&prune[..], &["--confirm"]].concat());
    assert_eq!(held(&world, "local"), sorted([&first, &newer]));
}
