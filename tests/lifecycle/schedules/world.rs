//! An instance whose schedules run in this process, by a clock that the test sets.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_backup::{
    ArcBackup, Clock, EngineWork, Operation, OperationFilter, Overrides, Registry, Running,
    ScheduleSettings, ScheduleWork, ScheduledRehearsal, ScheduledVerification, Scheduler, Status,
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::Instance;

/// A clock that the test sets.
pub(super) struct TestClock(watch::Sender<Timestamp>);

impl TestClock {
    pub(super) fn set(&self, now: &str) {
        self.0.send_replace(now.parse().unwrap());
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        let mut receiver = self.0.subscribe();
        Box::pin(async move {
            if *receiver.borrow_and_update() < at {
                // Files are looked at although the clock stands still.
                let soon = tokio::time::sleep(Duration::from_millis(100));
                tokio::select! {
                    _ = receiver.changed() => {}
                    () = soon => {}
                }
            }
        })
    }
}

/// The engine's work, with copies that are made up.
pub(super) struct TestWork {
    engine: EngineWork,
    /// Whether copies and prunes are real too.
    is_real: bool,
    /// What the next copies fail with.
    pub(super) failures: Mutex<VecDeque<&'static str>>,
    /// The backup and the target of each copy that was tried.
    pub(super) copies: Mutex<Vec<(String, String)>>,
}

#[async_trait]
impl ScheduleWork for TestWork {
    async fn backup(&self, schedule: &ScheduleSettings) -> arc_backup::Result<Arc<Running>> {
        self.engine.backup(schedule).await
    }

    async fn copy(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        to: &str,
    ) -> arc_backup::Result<Operation> {
        if self.is_real {
            return self.engine.copy(schedule, backup_id, from, to).await;
        }
        let copy = (backup_id.to_owned(), to.to_owned());
        self.copies.lock().unwrap().push(copy);
        if let Some(failure) = self.failures.lock().unwrap().pop_front() {
            return Err(arc_backup::Error::Failed(failure.to_owned()));
        }
        Ok(Operation {
            status: Status::Completed,
            ..Operation::default()
        })
    }

    async fn verify(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        how: ScheduledVerification,
    ) -> arc_backup::Result<Operation> {
        self.engine.verify(schedule, backup_id, from, how).await
    }

    async fn rehearse(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        how: ScheduledRehearsal,
    ) -> arc_backup::Result<Operation> {
        self.engine.rehearse(schedule, backup_id, from, how).await
    }

    async fn prune(
        &self,
        schedule: &ScheduleSettings,
        target: &str,
    ) -> arc_backup::Result<Option<Operation>> {
        match self.is_real {
            true => self.engine.prune(schedule, target).await,
            // Backups are made at the real time, whatever the clock of the schedules shows.
            false => Ok(None),
        }
    }
}

/// A service without its REST surface.
pub(super) struct World {
    pub(super) instance: Instance,
    pub(super) clock: Arc<TestClock>,
    pub(super) engine: Arc<ArcBackup>,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) work: Arc<TestWork>,
    registry: fn() -> Registry,
    is_real: bool,
    ended: CancellationToken,
    task: Option<JoinHandle<()>>,
    runtime: Runtime,
}

/// An instance with few files, and a configuration with absolute paths: a test has no working
/// folder of its own.
pub(super) fn instance(settings: &str) -> Instance {
    let instance = Instance::with_config("");
    let data = instance.path("data/arc/iot/temperature");
    std::fs::create_dir_all(&data).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(data.join(format!("{name}.parquet")), name).unwrap();
    }
    let database = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    database.execute_batch("CREATE TABLE a (b)").unwrap();
    drop(database);
    let root = instance.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let settings = match settings.contains("local_path") {
        true => settings.to_owned(),
        false => format!("[backup]\nlocal_path = \"{root}/backups\"\n{settings}"),
    };
    let text = format!(
        "[storage]\nbackend = \"local\"\nlocal_path = \"{root}/data/arc\"\n\
         [auth]\nenabled = false\ndb_path = \"{root}/data/arc.db\"\n\
         [retention]\ndb_path = \"{root}/data/arc.db\"\n\
         [continuous_query]\ndb_path = \"{root}/data/arc.db\"\n{settings}\n"
    );
    std::fs::write(instance.path("arc.toml"), text).unwrap();
    instance
}

fn engine(instance: &Instance, registry: &Registry) -> Arc<ArcBackup> {
    let overrides = Overrides {
        config: Some(instance.path("arc.toml")),
        ..Overrides::default()
    };
    ArcBackup::new(registry.settings(&overrides).unwrap(), registry).unwrap()
}

impl World {
    /// Schedules in an instance whose clock shows `now`.
    pub(super) fn new(settings: &str, now: &str) -> Self {
        Self::with(instance(settings), Registry::new, now)
    }

    pub(super) fn with(instance: Instance, registry: fn() -> Registry, now: &str) -> Self {
        Self::of(instance, registry, false, now)
    }

    /// The same, where copies and prunes are real as well. They go by the real time.
    pub(super) fn real(instance: Instance, now: &str) -> Self {
        Self::of(instance, Registry::new, true, now)
    }

    fn of(instance: Instance, registry: fn() -> Registry, is_real: bool, now: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let clock = Arc::new(TestClock(watch::channel(now.parse().unwrap()).0));
        let engine = engine(&instance, &registry());
        let (work, scheduler) = parts(&engine, &clock, is_real);
        let mut world = Self {
            instance,
            clock,
            engine,
            scheduler,
            work,
            registry,
            is_real,
            ended: CancellationToken::new(),
            task: None,
            runtime,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let (scheduler, ended) = (self.scheduler.clone(), self.ended.clone());
        let task = self
            .runtime
            .spawn(async move { scheduler.run(ended).await });
        self.task = Some(task);
        // It has taken up what was kept when it has written it.
        let kept = self.kept_path();
        let is_whole = |text: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&text).is_ok();
        self.wait("the schedules begin", || {
            std::fs::read(&kept).is_ok_and(is_whole)
        });
    }

    /// A second service of the same instance; it runs until the token is cancelled.
    pub(super) fn second(&self) -> (Arc<Scheduler>, CancellationToken) {
        let engine = engine(&self.instance, &(self.registry)());
        let (_, scheduler) = parts(&engine, &self.clock, self.is_real);
        let ended = CancellationToken::new();
        let (runs, until) = (scheduler.clone(), ended.clone());
        self.runtime.spawn(async move { runs.run(until).await });
        (scheduler, ended)
    }

    pub(super) fn kept_path(&self) -> PathBuf {
        let state = self.engine.settings().backup.state_folder();
        state.join("schedules/kept.json")
    }

    /// What is kept of a schedule.
    pub(super) fn kept(&self, name: &str) -> serde_json::Value {
        let text = std::fs::read(self.kept_path()).unwrap();
        let kept: serde_json::Value = serde_json::from_slice(&text).unwrap();
        kept["schedules"][name].clone()
    }

    /// Ends the service; the clock goes on.
    pub(super) fn stop(&mut self) {
        let engine = self.engine.clone();
        self.runtime
            .block_on(async { engine.close("the test ends it").await });
        self.ended.cancel();
        if let Some(task) = self.task.take() {
            self.runtime.block_on(task).unwrap();
        }
    }

    /// Ends the service, and starts it again when the clock shows `now`.
    pub(super) fn restart(&mut self, now: &str) {
        self.stop();
        self.clock.set(now);
        self.engine = engine(&self.instance, &(self.registry)());
        (self.work, self.scheduler) = parts(&self.engine, &self.clock, self.is_real);
        self.ended = CancellationToken::new();
        self.start();
    }

    pub(super) fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < until, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The operations of a schedule that have ended, oldest first.
    pub(super) fn operations(&self, name: &str) -> Vec<Operation> {
        let filter = OperationFilter {
            schedule: Some(name.to_owned()),
            statuses: vec![Status::Completed, Status::Failed, Status::Cancelled],
            ..OperationFilter::default()
        };
        let found = self.engine.find_operations(&filter, 0, 1000);
        let mut operations = self.runtime.block_on(found).unwrap().operations;
        operations.reverse();
        operations
    }

    /// The kinds of these operations, with their statuses where they did not succeed.
    pub(super) fn did(&self, name: &str) -> Vec<String> {
        let operations = self.operations(name).into_iter();
        let word = |one: Operation| match one.status {
            Status::Completed => one.operation.to_string(),
            status => format!("{} {status}", one.operation),
        };
        operations.map(word).collect()
    }

    /// Sets the clock, and waits until the schedule has done this many operations.
    pub(super) fn at(&self, now: &str, name: &str, count: usize) {
        self.clock.set(now);
        let mut last = Vec::new();
        let until = Instant::now() + Duration::from_secs(60);
        while last.len() < count {
            assert!(Instant::now() < until, "at {now}: {name} did only {last:?}");
            std::thread::sleep(Duration::from_millis(10));
            last = self.did(name);
        }
    }

    /// Sets the clock. Nothing may happen: enough time passes for it to be seen if it did.
    pub(super) fn quiet_at(&self, now: &str, name: &str) {
        let before = self.operations(name).len();
        self.clock.set(now);
        std::thread::sleep(Duration::from_millis(400));
        let after = self.did(name);
        assert_eq!(after.len(), before, "at {now}: {after:?}");
    }

    pub(super) fn run<T>(&self, job: impl Future<Output = T>) -> T {
        self.runtime.block_on(job)
    }

    /// Replaces a part of `arc.toml`.
    pub(super) fn edit(&self, from: &str, to: &str) {
        let path = self.instance.path("arc.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }
}

fn parts(
    engine: &Arc<ArcBackup>,
    clock: &Arc<TestClock>,
    is_real: bool,
) -> (Arc<TestWork>, Arc<Scheduler>) {
    let work = Arc::new(TestWork {
        engine: EngineWork(engine.clone()),
        is_real,
        failures: Mutex::default(),
        copies: Mutex::default(),
    });
    let scheduler = Scheduler::new(engine.clone(), work.clone(), clock.clone()).unwrap();
    (work, scheduler)
}

impl Drop for World {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}
