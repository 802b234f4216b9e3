//! Operations that are asked to end: the program ends in time, gives the reason, and releases its
//! locks.
//!
//! Long, with a table: `cargo test --release --test ending -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use arc_backup_test_s3::{Fault, Rule, S3Server, ServerOptions, Verb, When};
use stores::{Place, SECRETS, configure};
use support::{Instance, text};

/// The time limit for an operation and its process to end: a service manager kills after 30 s or 90
/// s.
const DEADLINE: Duration = Duration::from_secs(12);

/// The state of the store when the program is asked to end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Store {
    Healthy,
    Slow,
    Dead,
}

/// How the program is asked to end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    Term,
    /// Ctrl-C twice, a moment apart.
    IntTwice,
    Timeout,
}

/// An operation and its phase.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Start,
    Copying,
    Continuing,
    Publishing,
    KeepingIncomplete,
    Verifying,
    Staging,
    Writing,
    Deleting,
}

const ALL: [At; 9] = [
    At::Start,
    At::Copying,
    At::Continuing,
    At::Publishing,
    At::KeepingIncomplete,
    At::Verifying,
    At::Staging,
    At::Writing,
    At::Deleting,
];

fn server(latency: u64) -> S3Server {
    S3Server::start(ServerOptions {
        buckets: vec!["data".to_owned(), "backups".to_owned()],
        secret_key: SECRETS[0].to_owned(),
        latency: Duration::from_millis(latency),
        ..ServerOptions::default()
    })
    .unwrap()
}

/// Backs up to a bucket of `server` by default, with these settings added.
fn far(instance: &Instance, server: &S3Server, settings: &str) {
    instance.configure(&format!("default_target = \"far\"\n{settings}"));
    let storage = Place::local(instance, "data/arc");
    configure(
        instance,
        &storage,
        &Place::s3(server, "backups", "of/arc-1"),
    );
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// SIGINT, or SIGTERM where the tests were started with SIGINT ignored. A shell does so for
/// background jobs, and the program inherits it.
fn interrupt() -> &'static str {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = (status.lines().find_map(|line| line.strip_prefix("SigIgn:"))).unwrap();
    match u64::from_str_radix(mask.trim(), 16).unwrap() & 0b10 {
        0 => "INT",
        _ => "TERM",
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asks an operation in this phase to end, and returns how long that took.
fn case(at: At, store: Store, asked: Asked) -> Duration {
    let case = format!("{at:?}, {store:?}, {asked:?}");
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    let server = server(20);
    let storage = match at {
        At::Writing | At::KeepingIncomplete => {
            stores::storage(stores::Kind::S3, &instance, &server, true)
        }
        _ => Place::local(&instance, "data/arc"),
    };
    let settings = "default_target = \"far\"\nconcurrency = 4\n";
    let timeout = if asked == Asked::Timeout {
        "timeout = \"6s\""
    } else {
        ""
    };
    instance.configure(&format!("{settings}{timeout}"));
    configure(
        &instance,
        &storage,
        &Place::s3(&server, "backups", "of/arc-1"),
    );
    let no_timeout = |arguments: &[&str]| {
        let mut command = instance.command(arguments);
        command.env("ARC_BACKUP_TIMEOUT", "1h");
        command
    };
    let mut id = String::new();
    if matches!(at, At::Verifying | At::Staging | At::Writing | At::Deleting) {
        let output = no_timeout(&["backup"]).output().unwrap();
        assert!(output.status.success(), "{case}: {}", text(&output));
        id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        match at {
            At::Writing => {
                for key in server.keys("data") {
                    server.remove("data", &key);
                }
            }
            At::Staging => std::fs::remove_dir_all(instance.path("data/arc/iot")).unwrap(),
            _ => {}
        }
    }
    if at == At::Continuing {
        let mut child = no_timeout(&["backup"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        server.reset_counts();
        wait_for("files are stored", || server.count(Verb::PutObject) > 60);
        signal(&child, "TERM");
        child.wait().unwrap();
    }
    if at == At::KeepingIncomplete {
        let keys = server.keys("data");
        let key = keys.iter().find(|key| key.ends_with(".parquet")).unwrap();
        server.fault(Rule::new(Fault::Deny).verb(Verb::GetObject).key(key));
    }
    if store == Store::Slow {
        server.fault(Rule::new(Fault::Delay(Duration::from_millis(500))));
    }
    server.reset_counts();
    let arguments: &[&str] = match at {
        At::Verifying => &["verify", &id],
        At::Staging | At::Writing => &["restore", &id, "--yes", "--no-metadata"],
        At::Deleting => &["delete", &id, "--yes", "--even-last"],
        _ => &["backup"],
    };
    let mut command = instance.command(arguments);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let has_come = || match at {
        At::Start => server.counts().values().sum::<u64>() > 0,
        At::Copying => server.count(Verb::PutObject) > 10,
        At::Continuing | At::KeepingIncomplete => server.count(Verb::CopyObject) > 3,
        At::Publishing => server.count(Verb::PutObject) > 107,
        At::Verifying | At::Staging => server.count(Verb::GetObject) > 10,
        At::Writing => server.count(Verb::PutObject) > 10,
        At::Deleting => server.count(Verb::DeleteObjects) + server.count(Verb::ListObjects) > 2,
    };
    let mut ended_before = false;
    wait_for(&case, || {
        ended_before = child.try_wait().unwrap().is_some();
        ended_before || has_come()
    });
    if store == Store::Dead {
        server.heal();
        server.fault(Rule::new(Fault::Hang).when(When::Always));
    }
    let begun = Instant::now();
    match asked {
        _ if ended_before => {}
        Asked::Term => signal(&child, "TERM"),
        Asked::IntTwice => {
            signal(&child, interrupt());
            std::thread::sleep(Duration::from_millis(300));
            if child.try_wait().unwrap().is_none() {
                signal(&child, interrupt());
            }
        }
        Asked::Timeout => {}
    }
    let limit = match asked {
        Asked::Timeout => DEADLINE + Duration::from_secs(6),
        Asked::IntTwice => Duration::from_secs(2),
        Asked::Term => DEADLINE,
    };
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > limit {
            let _ = child.kill();
            panic!("{case}: it goes on for more than {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = begun.elapsed();
    let output = child.wait_with_output().unwrap();
    let said = text(&output);
    // It may have been done already, and a backup with an unreadable file fails anyway.
    let was_done = status.success()
        || at == At::KeepingIncomplete && said.contains("kept as an incomplete copy");
    if !was_done && asked == Asked::Term {
        assert_eq!(status.code(), Some(130), "{case}: {said}");
        assert!(said.contains("ended by SIGTERM"), "{case}: {said}");
    }
    if !was_done && asked == Asked::IntTwice {
        assert_eq!(status.code(), Some(130), "{case}: {said}");
    }
    // A store that answers has its lock released, unless the process was ended at once. Even then
    // the next one on this host need not wait for a dead process.
    if store != Store::Dead {
        server.heal();
        let next = no_timeout(&["backup"]).output().unwrap();
        assert!(next.status.success(), "{case}: {}", text(&next));
        let next = no_timeout(&["sweep", "--apply"]).output().unwrap();
        assert!(next.status.success(), "{case}: {}", text(&next));
    }
    took
}

fn each(of: &[(At, Store, Asked)]) {
    std::thread::scope(|scope| {
        for (at, store, asked) in of {
            scope.spawn(move || case(*at, *store, *asked));
        }
    });
}

/// Guards against a backup that ignores SIGTERM for 106 s on a dead network, and keeps the lock.
#[test]
fn a_signal_ends_a_backup() {
    each(&[
        (At::Start, Store::Dead, Asked::Term),
        (At::Copying, Store::Healthy, Asked::Term),
        (At::Copying, Store::Slow, Asked::Term),
        (At::Copying, Store::Dead, Asked::Term),
    ]);
}

/// Guards against the same in the operations that read, write and remove.
#[test]
fn a_signal_ends_every_operation() {
    each(&[
        (At::Continuing, Store::Slow, Asked::Term),
        (At::Verifying, Store::Dead, Asked::Term),
        (At::Staging, Store::Dead, Asked::Term),
        (At::Writing, Store::Dead, Asked::Term),
        (At::Deleting, Store::Dead, Asked::Term),
    ]);
}

/// Guards against a second signal that has no effect.
#[test]
fn a_second_signal_ends_the_process_at_once() {
    each(&[
        (At::Copying, Store::Dead, Asked::IntTwice),
        (At::Staging, Store::Slow, Asked::IntTwice),
        (At::Copying, Store::Healthy, Asked::IntTwice),
    ]);
}

/// Guards against a `backup.timeout` that has no effect while a dead store is waited for.
#[test]
fn a_timeout_ends_an_operation() {
    each(&[
        (At::Start, Store::Dead, Asked::Timeout),
        (At::Copying, Store::Dead, Asked::Timeout),
        (At::Verifying, Store::Dead, Asked::Timeout),
    ]);
}

/// Every phase with every store and every way to end, as a table.
#[test]
#[ignore = "takes some minutes"]
fn every_operation_ends_in_every_phase() {
    println!("| phase | store | asked by | s |\n|---|---|---|---|");
    for at in ALL {
        std::thread::scope(|scope| {
            for store in [Store::Healthy, Store::Slow, Store::Dead] {
                for asked in [Asked::Term, Asked::IntTwice, Asked::Timeout] {
                    scope.spawn(move || {
                        let took = case(at, store, asked).as_secs_f64();
                        println!("| {at:?} | {store:?} | {asked:?} | {took:.1} |");
                    });
                }
            }
        });
    }
}

/// Guards against a program that ends with its session in spite of `nohup`.
#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let instance = Instance::new();
    let server = server(100);
    far(&instance, &server, "concurrency = 4");
    let program = instance.command(&["backup"]);
    let mut child = Command::new("nohup")
        .arg(program.get_program())
        .args(program.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("it copies", || server.count(Verb::PutObject) > 10);
    signal(&child, "HUP");
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}

/// Guards against a target that stays locked for more than a minute after its holder was killed.
#[test]
fn the_lock_of_a_dead_process_of_this_host_is_free_at_once() {
    let instance = Instance::new();
    let server = server(20);
    far(&instance, &server, "");
    let mut child = (instance.command(&["backup"]).stderr(Stdio::null()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("it copies", || server.count(Verb::PutObject) > 10);
    child.kill().unwrap();
    // A process dies only when its disk writes are done. It is not reaped here: a zombie is dead,
    // too.
    let pid = rustix::process::Pid::from_child(&child);
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
    let next = instance.run(&["backup"]);
    assert!(next.status.success(), "{}", text(&next));
    child.wait().unwrap();
}

/// Guards against an operation without progress that never ends, and a message without the cause.
#[test]
fn an_operation_without_progress_is_ended() {
    let instance = Instance::new();
    let server = server(0);
    far(&instance, &server, "stall_timeout = \"2s\"");
    let slow = Fault::Delay(Duration::from_secs(15));
    server.fault(Rule::new(slow).verb(Verb::PutObject).key("/data/"));
    let output = instance.run(&["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = text(&output);
    for part in [
        "no progress for 2 s",
        "backup.stall_timeout",
        "copying: ",
        "finishing it",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
