//! No deadlocks: operations over stores with few turns, little buffer space, latencies, faults and
//! cancels end, whatever the shape of the data. Most of it runs in simulated time, with the
//! product's own retries, pace and budgets.
//!
//! Long: `cargo test --release --test waiting -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/simulated.rs"]
mod simulated;

use arc_backup_core::Scope;
use arc_backup_core::Section;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_backup::{
    ArcBackup, BackupId, BackupOptions, Error, Operation, Overrides, Registry, Request,
    RestoreOptions, Running, Status, VerifyMode, Who,
};
use arc_backup_core::{Key, Sink, WriteOptions};
use simulated::{Conditions, Limits, Simulated};

/// How long an operation may take to end on request: `backup.stop_timeout`, plus the precision of
/// the clock of half a second.
const STOP: Duration = Duration::from_secs(12);

/// An instance in its own folder, whose data and target are these sinks.
struct Instance {
    engine: Arc<ArcBackup>,
    folder: tempfile::TempDir,
}

impl Instance {
    fn new(storage: Arc<dyn Sink>, target: Arc<dyn Sink>, settings: &str) -> Self {
        // In memory if possible: the history is written each simulated second.
        let folder = match Path::new("/dev/shm").is_dir() {
            true => tempfile::tempdir_in("/dev/shm"),
            false => tempfile::tempdir(),
        }
        .unwrap();
        let path = folder.path().join("arc.toml");
        let text = format!(
            "[storage]\nlocal_path = \"{0}/data\"\n[auth]\ndb_path = \"{0}/arc.db\"\n[backup]\nlocal_path = \"{0}/backups\"\n\
             state_path = \"{0}/state/history.db\"\n{settings}\n",
            folder.path().display()
        );
        std::fs::write(&path, text).unwrap();
        let settings = Registry::new()
            .settings(&Overrides {
                config: Some(path),
                ignore_environment: true,
            })
            .unwrap();
        let mut registry = Registry::new();
        registry.wrap_sinks(move |name, _| match name {
            None => storage.clone(),
            Some(_) => target.clone(),
        });
        let engine = ArcBackup::new(settings, &registry).unwrap();
        Self { engine, folder }
    }

    async fn begin(&self, request: Request) -> Result<Arc<Running>, Error> {
        let who = Who {
            actor: "test".to_owned(),
            origin: arc_backup::Origin::Cli,
            fingerprint: None,
            token: None,
        };
        self.engine.start(request, who).await
    }

    async fn run(&self, request: Request) -> Operation {
        let running = self.begin(request).await.unwrap();
        running.wait().await
    }

    async fn completed(&self, request: Request, case: &str) -> Operation {
        let ended = self.run(request).await;
        assert_eq!(ended.error, None, "{case}: {ended:?}");
        ended
    }
}

fn backup() -> Request {
    Request::Backup(BackupOptions::of(Scope::of_sections([Section::Data])))
}

fn restore(id: &str) -> Request {
    let options = RestoreOptions {
        scope: Scope::of_sections([Section::Data]),
        ..RestoreOptions::default()
    };
    Request::Restore(BackupId::parse(id).unwrap(), options, None)
}

fn verify(id: &str) -> Request {
    Request::Verify(BackupId::parse(id).unwrap(), VerifyMode::Full.into(), None)
}

fn delete(id: &str) -> Request {
    Request::Delete(
        BackupId::parse(id).unwrap(),
        None,
        arc_backup::LastGood::Delete,
    )
}

async fn put(sink: &dyn Sink, key: &str, bytes: Vec<u8>) {
    let key = Key::parse(key).unwrap();
    let mut upload = sink.begin(&key, WriteOptions::default()).await.unwrap();
    upload.write(bytes.into()).await.unwrap();
    upload.commit().await.unwrap();
}

/// Writes `count` files of the sizes that `size` gives, in Arc's layout.
async fn fill(sink: &dyn Sink, count: u64, mut size: impl FnMut(u64) -> usize) {
    for n in 0..count {
        let key = format!(
            "iot/m{}/2026/11/2{}/0{}/m_{n:05}.parquet",
            n % 3,
            n % 9,
            n % 7
        );
        let bytes = (0..size(n)).map(|at| (at as u64 ^ n) as u8).collect();
        put(sink, &key, bytes).await;
    }
}

/// A runtime whose clock advances when nothing else runs.
fn simulated_time() -> tokio::runtime::Runtime {
    (tokio::runtime::Builder::new_current_thread())
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// One random schedule: a backup that may be cancelled at a random moment, its resumption, a
/// verification, a restore over changed data and a deletion, over two stores with random limits,
/// latencies and faults.
fn schedule(seed: u64) {
    let case = &format!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let limits = |random: &mut fastrand::Rng| Limits {
        requests: random.usize(1..9),
        buffer_bytes: [1, 8 << 10, 32 << 10][random.usize(0..3)],
        part_bytes: [1 << 10, 4 << 10][random.usize(0..2)],
        parallel: random.u64(1..6),
    };
    let conditions = |random: &mut fastrand::Rng| Conditions {
        latency: Duration::from_millis([0, 1, 50, 500][random.usize(0..4)]),
        throttled: [0, 10, 50][random.usize(0..3)],
        broken: [0, 10, 50][random.usize(0..3)],
        hangs: [0, 0, 2][random.usize(0..3)],
        ..Conditions::fair()
    };
    let storage = Simulated::new(limits(&mut random), conditions(&mut random), random.u64(..));
    let target = Simulated::new(limits(&mut random), conditions(&mut random), random.u64(..));
    let concurrency = [1, 2, 8, 64][random.usize(0..4)];
    let count = random.u64(1..50);
    simulated_time().block_on(async {
        fill(storage.objects(), count, |_| match random.u32(0..4) {
            0 => random.usize(0..10),
            1 => random.usize(0..2000),
            _ => random.usize(0..20_000),
        })
        .await;
        let instance = Instance::new(
            Arc::new(storage.clone()),
            Arc::new(target.clone()),
            &format!("concurrency = {concurrency}"),
        );
        let mut run = async |request: Request| {
            let name = format!("{case}, {request:?}");
            let cancels = random.u32(0..3) == 0;
            let running = match instance.begin(request).await {
                Ok(running) => running,
                // A store may also fail for good before the operation begins.
                Err(error) => {
                    assert!(is_of_a_store(&error.to_string()), "{name}: {error}");
                    return None;
                }
            };
            if cancels {
                let at = Duration::from_millis(random.u64(0..20_000));
                let _ = tokio::time::timeout(at, running.wait()).await;
                running.cancel("by the test");
                let ended = tokio::time::timeout(STOP, running.wait()).await;
                ended.unwrap_or_else(|_| panic!("{name}: it outlives its deadline"));
            }
            let ended = running.wait().await;
            match &ended.error {
                None => {}
                Some(error) if cancels && error.starts_with("by the test") => {}
                Some(error) => assert!(is_of_a_store(error), "{name}: {error}"),
            }
            // Separate tasks abort the dropped requests.
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            storage.check_idle(&name);
            target.check_idle(&name);
            Some(ended)
        };
        run(backup()).await;
        let mut made = None;
        for _ in 0..20 {
            made = run(backup()).await.filter(|made| made.error.is_none());
            if made.is_some() {
                break;
            }
        }
        let id = made
            .unwrap_or_else(|| panic!("{case}: no backup"))
            .backup_id;
        run(verify(&id)).await;
        put(storage.objects(), "iot/m0/new.parquet", vec![1; 3000]).await;
        run(restore(&id)).await;
        run(restore(&id)).await;
        run(delete(&id)).await;
        drop(instance.folder);
    });
}

/// Whether a failed store is the cause, and not a deadlock of the program.
fn is_of_a_store(error: &str) -> bool {
    error.contains("tried ") && !error.contains("no progress for")
}

/// Guards against a deadlock with all defaults and without faults: copies that nobody polled held
/// what the loop waited for.
#[test]
fn no_schedule_waits_for_itself() {
    for seed in 0..60 {
        schedule(seed);
    }
}

/// Guards against the same in 10,000 schedules, or those from `ARC_TEST_SEED` on.
#[test]
#[ignore = "takes some minutes"]
fn ten_thousand_schedules_do_not_wait_for_themselves() {
    let from = std::env::var("ARC_TEST_SEED").map_or(1000, |seed| seed.parse().unwrap());
    let begun = std::time::Instant::now();
    for seed in from..from + 10_000 {
        schedule(seed);
        if (seed - from) % 500 == 499 {
            println!("{} schedules in {:?}", seed - from + 1, begun.elapsed());
        }
    }
}

/// Guards against a deadlock with one request at a time and one byte of buffers, over 600 files and
/// 1,100 objects to move.
#[test]
fn every_operation_ends_with_one_turn_and_no_room() {
    for concurrency in [8, 64] {
        let limits = Limits {
            requests: 1,
            buffer_bytes: 1,
            part_bytes: 4 << 10,
            parallel: 4,
        };
        let conditions = Conditions {
            latency: Duration::from_millis(50),
            ..Conditions::fair()
        };
        let storage = Simulated::new(limits, conditions.clone(), 1);
        let refuses = conditions.refuses.clone();
        let target = Simulated::new(
            limits,
            Conditions {
                refuses: Arc::default(),
                ..conditions
            },
            2,
        );
        simulated_time().block_on(async {
            fill(storage.objects(), 600, |n| (n as usize % 5) * 3000).await;
            let instance = Instance::new(
                Arc::new(storage.clone()),
                Arc::new(target.clone()),
                &format!("concurrency = {concurrency}\ntimeout = \"30d\""),
            );
            every_operation(&instance, &storage, &refuses).await;
            storage.check_idle("at the end");
            target.check_idle("at the end");
        });
    }
}

async fn every_operation(
    instance: &Instance,
    storage: &Simulated,
    refuses: &std::sync::Mutex<Option<String>>,
) {
    // Cancelled in the middle, and resumed.
    let running = instance.begin(backup()).await.unwrap();
    while running.snapshot().processed_files < 300 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.cancel("by the test");
    let ended = running.wait().await;
    assert_eq!(ended.error.as_deref(), Some("by the test"));
    let made = instance.completed(backup(), "the next backup").await;
    assert!(made.reused_files.unwrap_or(0) >= 250, "{made:?}");
    let id = &made.backup_id;
    instance.completed(verify(id), "a verification").await;
    // Over data that has changed: replaced files go into the target.
    fill(storage.objects(), 200, |_| 5000).await;
    instance.completed(restore(id), "a restore").await;
    instance.completed(delete(id), "a deletion").await;
    // An incomplete copy of 1,100 objects is moved.
    fill(storage.objects(), 1101, |_| 10).await;
    *refuses.lock().unwrap() = Some("00007.parquet".to_owned());
    let failed = instance.run(backup()).await;
    assert_eq!(failed.status, Status::Failed);
    assert!(failed.incomplete_copy.is_some(), "{failed:?}");
    *refuses.lock().unwrap() = None;
    let swept = instance.engine.sweep(true).await.unwrap();
    assert!(
        swept
            .targets
            .iter()
            .all(|(_, swept)| swept.faults.is_empty())
    );
    let report = arc_backup::testing::examine(&instance.engine).await;
    // Its measurement moves some MiB, 4 KiB at a time here: that exceeds its timeout.
    let checks = (report.checks.iter())
        .filter(|check| check.subject.contains("target") && check.check != "reach");
    assert!(
        checks.clone().count() > 5 && checks.clone().all(|check| check.ok),
        "{report:?}"
    );
}

/// Guards against a dead store that prevents an operation from ending on request, in any phase.
#[test]
fn a_dead_store_does_not_delay_the_end_of_an_operation() {
    for (number, phase) in ["preparing", "copying", "publishing"].iter().enumerate() {
        let limits = Limits {
            requests: 4,
            buffer_bytes: 32 << 10,
            part_bytes: 4 << 10,
            parallel: 4,
        };
        let conditions = Conditions {
            latency: Duration::from_millis(400),
            ..Conditions::fair()
        };
        let is_dead = conditions.is_dead.clone();
        let seed = number as u64;
        let storage = Simulated::new(limits, Conditions::fair(), seed);
        let target = Simulated::new(limits, conditions, seed);
        simulated_time().block_on(async {
            fill(storage.objects(), 60, |_| 6000).await;
            let instance = Instance::new(Arc::new(storage), Arc::new(target), "");
            let running = instance.begin(backup()).await.unwrap();
            while running.snapshot().phase.map(arc_backup::Phase::as_str) != Some(phase) {
                assert!(!running.is_done(), "no phase {phase}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            is_dead.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(3)).await;
            running.cancel("ended by SIGTERM");
            let ended = tokio::time::timeout(STOP, running.wait()).await;
            let ended = ended.unwrap_or_else(|_| panic!("{phase}: it goes on"));
            let error = ended.error.unwrap();
            assert!(error.starts_with("ended by SIGTERM"), "{phase}: {error}");
        });
    }
}

/// Guards against waiting for a dead store once per request, instead of once.
#[test]
fn a_dead_store_ends_an_operation_by_itself() {
    let limits = Limits {
        requests: 4,
        buffer_bytes: 32 << 10,
        part_bytes: 4 << 10,
        parallel: 4,
    };
    let conditions = Conditions::fair();
    let is_dead = conditions.is_dead.clone();
    let storage = Simulated::new(limits, Conditions::fair(), 1);
    let target = Simulated::new(limits, conditions, 2);
    simulated_time().block_on(async {
        fill(storage.objects(), 60, |_| 6000).await;
        let instance = Instance::new(Arc::new(storage), Arc::new(target), "");
        let made = instance.completed(backup(), "a backup").await;
        let running = instance.begin(restore(&made.backup_id)).await.unwrap();
        is_dead.store(true, Ordering::Relaxed);
        let begun = tokio::time::Instant::now();
        let ended = running.wait().await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(90), "{took:?}: {ended:?}");
        let error = ended.error.unwrap();
        assert!(error.contains("without a byte"), "{error}");
    });
}

/// Guards against a simulated store that breaks the guarantees of a store.
#[test]
fn the_simulated_store_conforms() {
    let limits = Limits {
        requests: 3,
        buffer_bytes: 1 << 20,
        part_bytes: 64 << 10,
        parallel: 4,
    };
    simulated_time().block_on(arc_backup_core::conformance::check(|| async {
        Arc::new(Simulated::new(limits, Conditions::fair(), 1)) as Arc<dyn Sink>
    }));
}
