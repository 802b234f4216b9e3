//! The runner: takes the machine through time, while the service serves.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::clock::{Clock, SystemClock};
use super::decision::{Action, Decided};
use super::health::{ScheduleHealth, health};
use super::machine::Machine;
use super::work::{EngineWork, ScheduleWork, configured, last_begun, request_of};
use super::{reload, store, switches};
use crate::config::ScheduleSettings;
use crate::operations::{ArcBackup, Running, Who};
use crate::{Error, Result};

/// How often files are looked at: the configuration, and pauses.
const POLL: SignedDuration = SignedDuration::from_secs(3);
/// How often a service asks whether it is the only one.
const LOCK_PAUSE: Duration = Duration::from_secs(2);
/// How long the line for monitoring is good.
const HEALTH_AGE: Duration = Duration::from_secs(5);
/// What a service says whose schedules another one runs.
const ELSEWHERE: &str = "another service of this instance runs the schedules: end one of the two";
/// How long a run may take to end when the service ends and its operation has ended.
const ENDING: Duration = Duration::from_secs(1);

/// Runs the schedules of a service.
pub struct Scheduler {
    pub(super) engine: Arc<ArcBackup>,
    pub(super) work: Arc<dyn ScheduleWork>,
    pub(super) clock: Arc<dyn Clock>,
    machine: Mutex<Machine>,
    /// The schedules in force, and why those of the file are not.
    current: Mutex<(Arc<Vec<ScheduleSettings>>, Option<String>)>,
    /// The file that they were read from.
    read: reload::Version,
    /// Whether another service runs them.
    is_elsewhere: AtomicBool,
    health: tokio::sync::Mutex<Option<(std::time::Instant, ScheduleHealth)>>,
    /// Backups that somebody started for a schedule by hand.
    started: UnboundedSender<Started>,
    to_follow: Mutex<Option<UnboundedReceiver<Started>>>,
}

struct Started {
    schedule: Arc<ScheduleSettings>,
    running: Arc<Running>,
}

type Job<'a> = BoxFuture<'a, ()>;

impl Scheduler {
    /// Takes up the schedules of the engine's configuration.
    ///
    /// # Errors
    /// [`Error::Config`] names what is wrong with one of them.
    pub fn new(
        engine: Arc<ArcBackup>,
        work: Arc<dyn ScheduleWork>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>> {
        let schedules = configured(engine.settings())?;
        let read = reload::Version::of(&engine.settings().config_path);
        let (started, to_follow) = unbounded_channel();
        Ok(Arc::new(Self {
            engine,
            work,
            clock,
            machine: Mutex::default(),
            current: Mutex::new((Arc::new(schedules), None)),
            read,
            is_elsewhere: AtomicBool::new(false),
            health: tokio::sync::Mutex::default(),
            started,
            to_follow: Mutex::new(Some(to_follow)),
        }))
    }

    /// Takes up the schedules of the engine's configuration, under the clock of this machine.
    ///
    /// # Errors
    /// As [`Scheduler::new`].
    pub fn of(engine: Arc<ArcBackup>) -> Result<Arc<Self>> {
        let work = Arc::new(EngineWork(engine.clone()));
        Self::new(engine, work, Arc::new(SystemClock))
    }

    /// The engine that makes the backups.
    #[must_use]
    pub fn engine(&self) -> &Arc<ArcBackup> {
        &self.engine
    }

    /// The schedules in one line. Looked at every few seconds at most: anybody may ask.
    pub async fn health(&self) -> ScheduleHealth {
        let mut last = self.health.lock().await;
        match &*last {
            Some((at, health)) if at.elapsed() < HEALTH_AGE => health.clone(),
            _ => {
                let (schedules, fault) = self.in_force();
                let schedules = match fault {
                    Some(fault) => Err(Error::Config(fault)),
                    None => Ok(&schedules[..]),
                };
                let health = health(&self.engine, schedules).await;
                *last = Some((std::time::Instant::now(), health.clone()));
                health
            }
        }
    }

    /// The schedules in force, and why those of the changed file are not taken up, or why they do
    /// not run here.
    #[must_use]
    pub fn schedules(&self) -> (Arc<Vec<ScheduleSettings>>, Option<String>) {
        let (schedules, fault) = self.in_force();
        let is_elsewhere = self.is_elsewhere.load(Ordering::Relaxed);
        let elsewhere = is_elsewhere.then(|| ELSEWHERE.to_owned());
        (schedules, fault.or(elsewhere))
    }

    fn in_force(&self) -> (Arc<Vec<ScheduleSettings>>, Option<String>) {
        let current = self.current.lock();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn schedule(&self, name: &str) -> Option<Arc<ScheduleSettings>> {
        let schedules = self.schedules().0;
        let found = schedules.iter().find(|one| one.timing.name == name);
        found.cloned().map(Arc::new)
    }

    /// Starts a run of a schedule now, whatever its times are, and whether it is paused or not.
    /// What follows the backup is done by the runner.
    ///
    /// # Errors
    /// As [`ArcBackup::start`]; [`Error::UnknownSchedule`].
    pub async fn run_now(&self, name: &str, who: Who) -> Result<Arc<Running>> {
        let schedules = self.schedules().0;
        let schedule = super::work::find(&schedules, name)?;
        let request = request_of(&self.engine, schedule)?;
        let running = self.engine.start(request, who).await?;
        let _ = self.started.send(Started {
            schedule: Arc::new(schedule.clone()),
            running: running.clone(),
        });
        Ok(running)
    }

    /// Runs until `ended`. The caller has closed the engine by then, so that what is at work ends.
    pub async fn run(&self, ended: CancellationToken) {
        let started = self.to_follow.lock();
        let Some(mut started) = started.unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let Some(_alone) = self.alone(&ended, &mut started).await else {
            return;
        };
        self.begin().await;
        let mut version = reload::Watched::new(self.read.clone());
        let mut by_hand = VecDeque::new();
        let mut job: Option<Job<'_>> = None;
        loop {
            let now = self.clock.now();
            self.reload(&mut version, now).await;
            self.read_switches(now).await;
            if job.is_none()
                && let Some(Started { schedule, running }) = by_hand.pop_front()
            {
                self.machine().works_for(&schedule.timing.name);
                job = Some(Box::pin(self.follow(schedule, running)));
            }
            let action = self.machine().tick(now);
            // What begins is on disk before it begins.
            self.keep().await;
            if let Some(action) = action {
                job = Some(self.job(action));
            }
            let wakes_at = self.machine().wakes_at();
            let wakes_at = wakes_at.map_or(now + POLL, |at| at.clamp(now, now + POLL));
            let at_work = async {
                match &mut job {
                    Some(job) => job.await,
                    None => std::future::pending().await,
                }
            };
            let has_ended = tokio::select! {
                biased;
                () = ended.cancelled() => break,
                () = at_work => true,
                Some(one) = started.recv() => {
                    by_hand.push_back(one);
                    false
                }
                () = self.clock.sleep_until(wakes_at) => false,
            };
            if has_ended {
                job = None;
                self.machine().has_ended();
            } else if wakes_at <= now {
                // Something is due that waits for others: no busy loop.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        if let Some(job) = job {
            let _ = tokio::time::timeout(ENDING, job).await;
        }
        self.keep().await;
    }

    /// Waits until no other service runs the schedules; `None`: this one ended before. The lock is
    /// absent where the file system has none.
    async fn alone(
        &self,
        ended: &CancellationToken,
        started: &mut UnboundedReceiver<Started>,
    ) -> Option<Option<File>> {
        loop {
            let state = self.engine.settings().backup.state_folder().to_owned();
            let lock = tokio::task::spawn_blocking(move || store::lock(&state)).await;
            match lock.unwrap_or_else(|error| Err(error.into())) {
                Ok(Some(lock)) => {
                    self.is_elsewhere.store(false, Ordering::Relaxed);
                    return Some(Some(lock));
                }
                Ok(None) if !self.is_elsewhere.swap(true, Ordering::Relaxed) => {
                    tracing::warn!("{ELSEWHERE}");
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot lock the schedules: a second service would run them too");
                    return Some(None);
                }
            }
            tokio::select! {
                biased;
                () = ended.cancelled() => return None,
                Some(Started { schedule, running }) = started.recv() => {
                    self.follow(schedule, running).await;
                }
                () = tokio::time::sleep(LOCK_PAUSE) => {}
            }
        }
    }

    /// Takes up what was kept.
    async fn begin(&self) {
        let schedules = self.schedules().0;
        let state = self.engine.settings().backup.state_folder().to_owned();
        let kept = tokio::task::spawn_blocking(move || store::load(&state)).await;
        let mut begun = std::collections::BTreeMap::new();
        for schedule in schedules.iter() {
            let name = &schedule.timing.name;
            if let Some(last) = last_begun(&self.engine, name).await {
                begun.insert(name.clone(), last);
            }
        }
        let timings = schedules.iter().map(|one| one.timing.clone()).collect();
        let (kept, now) = (kept.unwrap_or_default(), self.clock.now());
        let machine = Machine::new(timings, &kept, |name| begun.get(name).cloned(), now);
        *self.machine() = machine;
        self.read_switches(now).await;
        self.keep().await;
        if !schedules.is_empty() {
            tracing::info!(schedules = schedules.len(), "the schedules are in force");
        }
    }

    async fn reload(&self, version: &mut reload::Watched, now: Timestamp) {
        let path = self.engine.settings().config_path.clone();
        let found = tokio::task::spawn_blocking(move || reload::Version::of(&path)).await;
        let Ok(found) = found else { return };
        if !version.is_new(&found) {
            return;
        }
        let engine = self.engine.clone();
        let read = tokio::task::spawn_blocking(move || reload::read(&engine)).await;
        let read = read.unwrap_or_else(|error| Err(error.into()));
        let read = read.and_then(|(settings, schedules)| {
            self.engine.take_up_retention(&settings)?;
            Ok(schedules)
        });
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(schedules) => {
                if *current.0 != schedules || current.1.is_some() {
                    tracing::info!(
                        schedules = schedules.len(),
                        "the changed schedules are taken up"
                    );
                }
                for one in current.0.iter() {
                    let name = &one.timing.name;
                    if !schedules.iter().any(|new| new.timing.name == *name) {
                        tracing::warn!(
                            schedule = name,
                            "a schedule is no longer in the configuration"
                        );
                    }
                }
                let timings = schedules.iter().map(|one| one.timing.clone()).collect();
                if *current.0 != schedules {
                    self.machine().configure(timings, now);
                }
                *current = (Arc::new(schedules), None);
            }
            Err(error) => {
                tracing::warn!(%error, "the changed configuration is not taken up: the schedules stay as they were");
                current.1 = Some(error.to_string());
            }
        }
    }

    async fn read_switches(&self, now: Timestamp) {
        let state = self.engine.settings().backup.state_folder().to_owned();
        let Ok(switches) = tokio::task::spawn_blocking(move || switches::read(&state)).await else {
            return;
        };
        let mut machine = self.machine();
        let names: Vec<_> = machine
            .entries
            .iter()
            .map(|one| one.timing.name.clone())
            .collect();
        for name in names {
            let switch = switches.get(&name);
            let at = switch.map_or(now, |switch| switch.at.min(now));
            machine.switch(&name, switch.map(|switch| switch.paused), at);
        }
    }

    /// Writes what is kept, where it has changed, and reports what was decided.
    pub(super) async fn keep(&self) {
        let (kept, decided) = {
            let mut machine = self.machine();
            (machine.take_kept(), machine.decided())
        };
        for one in decided {
            let (schedule, until) = (&one.name, one.until);
            match one.what {
                Decided::Coalesced { into, reason } => {
                    tracing::info!(schedule, %until, %into, reason, "runs become one");
                }
                Decided::Missed { reason } => {
                    tracing::warn!(schedule, %until, reason, "runs were missed, and are not made up");
                }
            }
        }
        let Some(kept) = kept.filter(|kept| !kept.schedules.is_empty()) else {
            return;
        };
        let state = self.engine.settings().backup.state_folder().to_owned();
        let saved = tokio::task::spawn_blocking(move || store::save(&state, &kept)).await;
        match saved {
            Ok(Ok(())) => {}
            // After a restart the history says what has run.
            Ok(Err(error)) => tracing::error!(%error, "cannot write the state of the schedules"),
            Err(error) => tracing::error!(%error, "cannot write the state of the schedules"),
        }
    }

    fn job(&self, action: Action) -> Job<'_> {
        match action {
            Action::Run { name, scheduled_at } => Box::pin(self.run_one(name, scheduled_at)),
            Action::Copy { name, copy } => Box::pin(self.copy_again(name, copy)),
            Action::Finish { name, after } => Box::pin(self.finish(name, after)),
        }
    }
}
