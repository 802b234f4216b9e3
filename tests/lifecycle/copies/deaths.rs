//! Death at the calls of a copy, on both sides, and the next copy.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use arc_backup::{ArcBackup, BackupId, CopyOptions, Origin, Overrides, Request, Status, Who};

use super::faults::{CALLS, CHILD, FAULT, TRACE, registry_with};
use super::scene::{change, copy, live};
use super::short_locks::{LOCK_TIMES, with_short_locks};
use super::stores::{Place, runtime, s3_server};
use super::{holders, rewrite, two_folders};
use crate::support::{Instance, files, text};

/// The backup that the child copies.
const COPIED: &str = "ARC_TEST_COPY";

/// Not a test of its own: what the others run as a child, which dies.
#[test]
#[ignore = "the child of the other tests here"]
fn child() {
    let (Some(folder), Ok(id)) = (std::env::var_os(CHILD), std::env::var(COPIED)) else {
        return;
    };
    std::env::set_current_dir(folder).unwrap();
    let registry = registry_with(with_short_locks);
    let who = Who {
        actor: "test".to_owned(),
        origin: Origin::Cli,
        fingerprint: None,
        token: None,
    };
    let ended = runtime().block_on(async {
        let settings = registry.settings(&Overrides::default()).unwrap();
        let engine = ArcBackup::new(settings, &registry).unwrap();
        let options = CopyOptions::new(BackupId::parse(&id).unwrap(), "far");
        let running = engine.start(Request::Copy(options), who).await.unwrap();
        let ended = running.wait().await;
        engine.settle().await;
        ended
    });
    println!("{:?}", ended.error);
    std::process::exit(i32::from(ended.status != Status::Completed));
}

/// Copies the backup in a child with this fault. Returns its output, and the calls that it made.
fn with_fault(instance: &Instance, id: &str, fault: &str, calls: &str) -> (Output, Vec<String>) {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "copies::deaths::child",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(CHILD, instance.path(""))
        .env(COPIED, id)
        .env(FAULT, fault)
        .env(CALLS, calls)
        .env(TRACE, trace.path())
        .env(LOCK_TIMES, "200,1000")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let calls = std::fs::read_to_string(trace.path()).unwrap();
    (output, calls.lines().map(str::to_owned).collect())
}

/// Two backups in `near`, of which the first is in `far` too.
fn scene(instance: &Instance) -> [String; 2] {
    let first = instance.backup();
    instance.ok(&["copy", &first, "--to", "far"]);
    rewrite(instance, "metrics/large.parquet", &[7; 300_000]);
    rewrite(instance, "iot/temperature/a.parquet", b"another");
    [first, instance.backup()]
}

/// After a death: every listed backup verifies, and the next copy completes what was begun.
fn check_after(instance: &Instance, [first, second]: &[String; 2], case: &str) {
    let run = |arguments: &[&str]| {
        let output = instance.run(arguments);
        assert!(
            output.status.success(),
            "{case}: {arguments:?}: {}",
            text(&output)
        );
    };
    for id in [first, second] {
        for target in holders(instance, id) {
            run(&["verify", id, "--target", &target, "--wait", "20s"]);
        }
    }
    assert_eq!(holders(instance, first), ["far", "near"], "{case}");
    run(&["copy", second, "--to", "far", "--wait", "20s"]);
    assert_eq!(holders(instance, second), ["far", "near"], "{case}");
    for id in [first, second] {
        run(&["verify", id, "--target", "far", "--wait", "20s"]);
    }
}

/// The numbers of at most `limit` of the calls, spread over all of them.
fn some_of(calls: usize, limit: usize) -> Vec<usize> {
    let step = calls.div_ceil(limit).max(1);
    // Not always the same ones: an offset that differs with the number of calls.
    (1..=calls)
        .filter(|number| (number + calls).is_multiple_of(step))
        .collect()
}

/// Guards against: a copy that is listed half, or that the next one cannot go on with.
fn deaths_on_disk(limit: usize) {
    let world = two_folders();
    let ids = scene(&world);
    let calls = "target-far.,target-near.";
    let (output, trace) = with_fault(&copy(&world), &ids[1], "none", calls);
    assert!(output.status.success(), "{}", text(&output));
    assert!(trace.len() > 20, "{trace:?}");
    let mut died = 0;
    for number in some_of(trace.len(), limit) {
        for moment in ["before", "after"] {
            let instance = copy(&world);
            let fault = format!("die:{moment}:{number}");
            let case = format!("{fault}: {}", trace[number - 1]);
            let (output, _) = with_fault(&instance, &ids[1], &fault, calls);
            died += usize::from(output.status.signal() == Some(9));
            check_after(&instance, &ids, &case);
            let left = files(&instance.path("far"));
            let odd: Vec<_> = (left.iter())
                .filter(|path| path.contains("/journal/") || path.contains(".tmp"))
                .collect();
            assert_eq!(odd, Vec::<&String>::new(), "{case}");
            let of = |target: &str| super::files_of(&instance, target, &ids[1]);
            assert_eq!(of("near"), of("far"), "{case}");
        }
    }
    assert!(died >= limit.min(trace.len() / 2), "only {died} died");
}

/// Guards against: the journal of a copy that died once it was published, which stays for ever.
#[test]
fn death_right_after_a_copy_was_published() {
    let world = two_folders();
    let ids = scene(&world);
    let (output, trace) = with_fault(&copy(&world), &ids[1], "none", "target-far.commit");
    assert!(output.status.success(), "{}", text(&output));
    let manifest = format!("{}/manifest.json", ids[1]);
    let number = (trace.iter()).position(|line| line.ends_with(&manifest));
    let fault = format!("die:after:{}", number.unwrap() + 1);
    let instance = copy(&world);
    let (output, _) = with_fault(&instance, &ids[1], &fault, "target-far.commit");
    assert_eq!(output.status.signal(), Some(9), "{}", text(&output));
    let journals = || {
        let left = files(&instance.path("far")).into_iter();
        left.filter(|path| path.contains("/journal/"))
            .collect::<Vec<_>>()
    };
    assert_ne!(journals(), Vec::<String>::new());
    check_after(&instance, &ids, &fault);
    assert_eq!(journals(), Vec::<String>::new());
}

#[test]
fn death_in_a_copy_on_local_disk() {
    deaths_on_disk(3);
}

#[test]
#[ignore = "minutes: every call"]
fn death_at_every_call_of_a_copy_on_local_disk() {
    deaths_on_disk(usize::MAX);
}

/// The same, to S3.
fn deaths_to_s3(limit: usize) {
    let server = s3_server();
    let world = two_folders();
    let config = std::fs::read_to_string(world.path("arc.toml")).unwrap();
    let local = "type = \"local\"\nlocal_path = \"./far\"";
    assert!(config.contains(local), "the scene has another target");
    let with_prefix = |prefix: &str| {
        let far = Place::s3(&server, "backups", prefix);
        let instance = copy(&world);
        let text = config.replace(local, &format!("type = \"s3\"\n{}", far.config));
        std::fs::write(instance.path("arc.toml"), text).unwrap();
        let ids = scene(&instance);
        (instance, ids)
    };
    let calls = "target-far.,target-near.";
    let (instance, ids) = with_prefix("none");
    let (output, trace) = with_fault(&instance, &ids[1], "none", calls);
    assert!(output.status.success(), "{}", text(&output));
    let mut died = 0;
    for number in some_of(trace.len(), limit) {
        let (instance, ids) = with_prefix(&format!("{number}"));
        let before = live(&instance);
        let fault = format!("die:after:{number}");
        let case = format!("{fault}: {}", trace[number - 1]);
        let (output, _) = with_fault(&instance, &ids[1], &fault, calls);
        died += usize::from(output.status.signal() == Some(9));
        check_after(&instance, &ids, &case);
        change(&instance);
        instance.ok(&[
            "restore", &ids[1], "--target", "far", "--yes", "--wait", "20s",
        ]);
        assert!(live(&instance) == before, "{case}");
        assert_eq!(server.uploads("backups"), [], "{case}: an upload is left");
    }
    assert!(died * 2 >= limit.min(trace.len()), "only {died} died");
}

#[test]
fn death_in_a_copy_to_s3() {
    deaths_to_s3(3);
}

#[test]
#[ignore = "minutes: every call"]
fn death_at_every_call_of_a_copy_to_s3() {
    deaths_to_s3(usize::MAX);
}

/// Guards against: a full disk that stays full with what nobody lists, and a copy that cannot be
/// made when there is room again.
#[test]
fn a_full_destination_fails_the_copy_and_gets_its_room_back() {
    let world = two_folders();
    let ids = scene(&world);
    for number in [1, 4, 9] {
        let instance = copy(&world);
        let before = files(&instance.path("far"));
        let fault = format!("no-space:{number}+");
        let (output, _) = with_fault(&instance, &ids[1], &fault, "target-far.");
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{fault}: {said}");
        assert!(
            said.contains("target `far`") || said.contains("\\\"far\\\""),
            "{fault}: {said}"
        );
        assert_eq!(holders(&instance, &ids[1]), ["near"], "{fault}");
        let left = files(&instance.path("far"));
        let new: Vec<_> = left.iter().filter(|path| !before.contains(path)).collect();
        assert!(
            new.iter().all(|path| path.starts_with(".arc-backup/")),
            "{new:?}"
        );
        check_after(&instance, &ids, &fault);
    }
}
