//! Two hosts with different clocks on one target: one works at a time, and a dead or sleeping
//! holder damages nothing.
//!
//! With the stores' own times, and on Azure:
//! `cargo test --release --test hosts -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/faults/mod.rs"]
mod faults;
#[path = "support/scene.rs"]
mod scene;
#[path = "support/short_locks.rs"]
mod short_locks;
#[path = "support/stores.rs"]
mod stores;
mod support;

use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use arc_backup_test_azurite::Azurite;
use libtest_mimic::{Arguments, Trial};
use short_locks::{LOCK_TIMES, with_short_locks};
use stores::{Kind, Place, contents};
use support::{Instance, text};

/// Milliseconds after which a lock in S3 is renewed, and after which its holder counts as dead, in
/// short runs.
const SHORT: (u64, u64) = (500, 5_000);
/// The time within which another host takes over, as the documentation states it.
const STATED: Duration = Duration::from_secs(75);

/// The difference of the clocks in seconds. S3 and Azure refuse a quarter of an hour, so it is an
/// hour only on local disk.
fn apart(kind: Kind) -> i64 {
    if kind == Kind::Local { 3_600 } else { 600 }
}

fn main() -> ExitCode {
    if let Some(code) = faults::child_with(with_short_locks) {
        return code;
    }
    let trial = |name: &str, work: fn()| {
        Trial::test(name, move || {
            work();
            Ok(())
        })
    };
    let long = |name: &str, work: fn()| trial(name, work).with_ignored_flag(true);
    let trials = vec![
        trial("the_clock_is_an_hour_ahead", the_clock_is_an_hour_ahead),
        trial("one_at_a_time_on_local_disk", || {
            one_at_a_time(Kind::Local, true);
        }),
        trial("one_at_a_time_on_s3", || one_at_a_time(Kind::S3, true)),
        trial("a_sleeper_on_s3_publishes_nothing", || {
            sleeper(Kind::S3, true);
        }),
        trial("a_clock_that_s3_refuses", a_clock_that_s3_refuses),
        trial("both_at_once_on_local_disk", || {
            both_at_once(Kind::Local);
        }),
        trial("both_at_once_on_s3", || {
            both_at_once(Kind::S3);
        }),
        long("one_at_a_time_on_s3_in_its_own_time", || {
            one_at_a_time(Kind::S3, false);
        }),
        long("one_at_a_time_on_azure", || {
            one_at_a_time(Kind::Azure, false);
        }),
        long("a_sleeper_on_s3_in_its_own_time", || {
            sleeper(Kind::S3, false);
        }),
        long("a_sleeper_on_azure", || sleeper(Kind::Azure, false)),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The library that shifts the clock, compiled once.
fn shim() -> &'static PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let library = folder.join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clock.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(compiler)
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{}", text(&compiled));
        library
    })
}

/// A host: an instance with its own state folder, configuration and clock.
struct Host {
    instance: Instance,
    ahead_seconds: i64,
    short_locks: bool,
}

impl Host {
    fn new(target: &Place, ahead_seconds: i64, short_locks: bool) -> Self {
        let instance = scene::small();
        instance.configure(&format!(
            "state_path = \"./state/history.db\"\ndefault_target = \"far\"\n[backup.targets.far]\ntype = \"{}\"\n{}",
            target.name(),
            target.config
        ));
        Self {
            instance,
            ahead_seconds,
            short_locks,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(faults::CHILD, "1").env("LD_PRELOAD", shim());
        command.env("ARC_TEST_CLOCK", self.ahead_seconds.to_string());
        if self.short_locks {
            command.env(LOCK_TIMES, format!("{},{}", SHORT.0, SHORT.1));
        }
        command
            .arg("-C")
            .arg(self.instance.path(""))
            .args(arguments);
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The number of the commit in the target that writes the manifest of a backup.
    fn commit_of_manifest(&self) -> usize {
        let trace = self.instance.path("trace");
        let output = (self.command(&["backup"]))
            .env(faults::CALLS, "target-far.commit")
            .env(faults::TRACE, &trace)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let calls = std::fs::read_to_string(&trace).unwrap();
        let at = (calls.lines()).position(|call| call.ends_with("/manifest.json"));
        at.expect("a manifest") + 1
    }

    /// Starts a backup that pauses for that long after it has stored two files. Returns at the
    /// pause.
    fn holds(&self, millis: u64) -> Child {
        self.holds_at(millis, 4)
    }

    /// The same, directly before a commit in the target.
    fn holds_at(&self, millis: u64, commit: usize) -> Child {
        let trace = self.instance.path("trace");
        let _ = std::fs::remove_file(&trace);
        let mut child = (self.command(&["--json", "backup"]))
            .env(faults::FAULT, format!("delay:{millis}:{commit}"))
            .env(faults::CALLS, "target-far.commit")
            .env(faults::TRACE, &trace)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while !std::fs::read_to_string(&trace).is_ok_and(|text| text.lines().count() >= commit) {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the holder ended too early"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }

    /// The listed ids, all of which verify; none is damaged.
    fn all_verify(&self, case: &str) -> Vec<String> {
        let listed = self.ok(&["--json", "list", "--target", "far"]);
        let list: serde_json::Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(list["damaged"], serde_json::json!([]), "{case}: {list}");
        let rows = list["backups"].as_array().unwrap().iter();
        let ids: Vec<_> = rows
            .map(|row| row["backup_id"].as_str().unwrap().to_owned())
            .collect();
        for id in &ids {
            let verified = self.run(&["verify", id]);
            assert!(
                verified.status.success(),
                "{case}: {id}: {}",
                text(&verified)
            );
        }
        ids
    }
}

/// Two hosts on one target; the first is an hour ahead, or behind.
struct Pair {
    kind: Kind,
    hosts: [Host; 2],
    target: Place,
    /// The server or folder of the target, held until the end of the test.
    _server: Option<arc_backup_test_s3::S3Server>,
    _folder: Instance,
}

impl Pair {
    fn new(kind: Kind, ahead_seconds: i64, short_locks: bool) -> Self {
        let folder = Instance::with_config("");
        let server = (kind == Kind::S3).then(stores::s3_server);
        let mut target = match &server {
            Some(server) => Place::s3(server, "backups", "of/arc-1"),
            None if kind == Kind::Azure => Place::azure(Azurite::shared(), "of/arc-1"),
            None => Place::local(&folder, "shared"),
        };
        if kind == Kind::Local {
            target.config = format!("local_path = \"{}\"\n", folder.path("shared").display());
        }
        let hosts = [ahead_seconds, 0].map(|ahead| Host::new(&target, ahead, short_locks));
        Self {
            kind,
            hosts,
            target,
            _server: server,
            _folder: folder,
        }
    }

    fn case(&self) -> String {
        format!(
            "{:?}, the first clock {} s ahead",
            self.kind, self.hosts[0].ahead_seconds
        )
    }

    /// Files in the target that belong to no backup that a host lists.
    fn leftovers(&self, listed: &[String]) -> Vec<String> {
        let keys = contents(&self.target.sink).into_keys();
        keys.filter(|key| {
            let kept = [".arc-backup/lock", ".arc-backup/notes"];
            !listed.iter().any(|id| key.starts_with(id.as_str()))
                && !kept.iter().any(|kept| key.starts_with(kept))
        })
        .collect()
    }

    /// The second host makes a backup as soon as it gets the lock. Returns how long that took.
    fn takes_over(&self, since: Instant) -> Duration {
        loop {
            let begun = since.elapsed();
            let output = self.hosts[1].run(&["backup"]);
            if output.status.success() {
                return begun;
            }
            assert_eq!(
                output.status.code(),
                Some(3),
                "{}: {}",
                self.case(),
                text(&output)
            );
            assert!(
                begun < STATED,
                "{}: still busy after {begun:?}",
                self.case()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Guards against a clock that was not shifted, which would make the other tests useless.
fn the_clock_is_an_hour_ahead() {
    let pair = Pair::new(Kind::Local, 3600, true);
    for (host, ahead) in pair.hosts.iter().zip([3600.0, 0.0]) {
        let id = host.ok(&["backup"]);
        let shown: serde_json::Value =
            serde_json::from_str(&host.ok(&["--json", "show", &id])).unwrap();
        let text = shown.to_string();
        let at = text.find("\"created_at\":\"").unwrap() + 14;
        let created: jiff::Timestamp = text[at..].split('"').next().unwrap().parse().unwrap();
        let difference = created.duration_since(jiff::Timestamp::now()).as_secs_f64();
        assert!(
            (difference - ahead).abs() < 60.0,
            "{difference} s ahead, not {ahead}"
        );
    }
}

/// Guards against a search for wrong credentials when the clock is wrong.
fn a_clock_that_s3_refuses() {
    let pair = Pair::new(Kind::S3, 3_600, true);
    let output = pair.hosts[0].run(&["backup"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("set the clock"), "{}", text(&output));
    pair.hosts[1].ok(&["backup"]);
}

/// Guards against two hosts that remove each other's files, and a dead host whose lock blocks every
/// backup.
fn one_at_a_time(kind: Kind, short_locks: bool) {
    for ahead in [apart(kind), -apart(kind)] {
        let pair = Pair::new(kind, ahead, short_locks);
        let case = pair.case();
        let kept = pair.hosts[1].ok(&["backup"]);
        let mut holder = pair.hosts[0].holds(600_000);
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let delete = ["delete", &*kept, "--yes", "--even-last"];
        for arguments in [&["backup"][..], &delete, &["sweep", "--apply"]] {
            let output = pair.hosts[1].run(arguments);
            let said = text(&output);
            assert_eq!(
                output.status.code(),
                Some(3),
                "{case}: {arguments:?}: {said}"
            );
            let pid = holder.id().to_string();
            assert!(
                said.contains(&pid) && said.contains(&host),
                "{case}: {arguments:?}: {said}"
            );
        }
        // Who only reads does not wait.
        pair.hosts[1].ok(&["verify", &kept]);
        let list = pair.hosts[1].ok(&["list"]);
        assert!(
            list.matches("backup-").count() == 1 && list.contains(&kept),
            "{case}: {list}"
        );
        holder.kill().unwrap();
        holder.wait().unwrap();
        let took = pair.takes_over(Instant::now());
        let limit = match kind {
            Kind::Local => Duration::from_secs(1),
            _ if short_locks => Duration::from_millis(SHORT.1) + Duration::from_secs(5),
            _ => STATED,
        };
        println!("{case}: let in {took:.1?} after the holder died");
        assert!(took < limit, "{case}: let in only after {took:?}");
        for host in &pair.hosts {
            let ids = host.all_verify(&case);
            assert!(ids.len() == 2 && ids.contains(&kept), "{case}: {ids:?}");
            assert_eq!(
                pair.leftovers(&ids),
                Vec::<String>::new(),
                "{case}: left over"
            );
        }
    }
}

/// Guards against a listed backup without files: a host sleeps, another sweeps, and the first
/// continues.
fn sleeper(kind: Kind, short_locks: bool) {
    for (ahead, sweeps, in_manifest) in [
        (apart(kind), true, false),
        (-apart(kind), false, false),
        // Between the last check of the lock and the manifest.
        (apart(kind), false, true),
    ] {
        let pair = Pair::new(kind, ahead, short_locks);
        let case = format!(
            "{}, swept: {sweeps}, in the manifest: {in_manifest}",
            pair.case()
        );
        let kept = pair.hosts[1].ok(&["backup"]);
        let commit = if in_manifest {
            pair.hosts[0].commit_of_manifest()
        } else {
            4
        };
        let sleeper = pair.hosts[0].holds_at(1_500, commit);
        let pid = rustix::process::Pid::from_raw(i32::try_from(sleeper.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let since = Instant::now();
        let before: Vec<_> = contents(&pair.target.sink).into_keys().collect();
        if sweeps {
            while pair.hosts[1].run(&["sweep", "--apply"]).status.code() != Some(0) {
                assert!(since.elapsed() < STATED, "{case}: still busy");
                std::thread::sleep(Duration::from_millis(200));
            }
        } else {
            pair.takes_over(since);
            pair.hosts[1].ok(&["delete", &kept, "--yes", "--even-last"]);
        }
        let ids = pair.hosts[1].all_verify(&case);
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        let ended = sleeper.wait_with_output().unwrap();
        let said = text(&ended);
        assert_eq!(ended.status.code(), Some(1), "{case}: {said}");
        assert!(
            said.contains("lock"),
            "{case}: it does not name the lock: {said}"
        );
        assert!(
            before.iter().any(|key| !key.starts_with(&kept)),
            "{case}: it had stored nothing"
        );
        // A published backup would be listed here, and a partial one would be damaged.
        assert_eq!(pair.hosts[1].all_verify(&case), ids, "{case}: {said}");
        pair.hosts[1].ok(&["backup"]);
        let ids = pair.hosts[1].all_verify(&case);
        assert_eq!(
            pair.leftovers(&ids),
            Vec::<String>::new(),
            "{case}: left over"
        );
        println!(
            "{case}: the sleeper said: {}",
            said.lines().last().unwrap_or_default()
        );
    }
}

/// Guards against losing one or both of two backups that begin at the same moment.
fn both_at_once(kind: Kind) {
    let pair = Pair::new(kind, apart(kind), true);
    let (mut made, mut busy) = (0, 0);
    for round in 0..6 {
        let children = [0, 1].map(|host| {
            let mut command = pair.hosts[host].command(&["backup"]);
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let mut done = 0;
        for child in children {
            let output = child.wait_with_output().unwrap();
            match output.status.code() {
                Some(0) => done += 1,
                Some(3) => busy += 1,
                _ => panic!("{}, round {round}: {}", pair.case(), text(&output)),
            }
        }
        assert!(done > 0, "{}, round {round}: neither got in", pair.case());
        made += done;
        assert_eq!(pair.hosts[0].all_verify(&pair.case()).len(), made);
    }
    println!("{}: {made} made, {busy} busy", pair.case());
    let ids = pair.hosts[1].all_verify(&pair.case());
    assert_eq!(
        pair.leftovers(&ids),
        Vec::<String>::new(),
        "{}",
        pair.case()
    );
}
