//! A writer that changes a storage as Arc does. It adds files, compacts them by the hour and by the
//! day, and rewrites them in place. It is killed in the middle of a job, and cleans up when it
//! starts again. Every row has its own id, and the [`log`] records its history. By this log,
//! [`check`] checks the content of a backup.
//!
//! Measurements have several days with several hours each. One database is synced from an edge node
//! and has a slash in its name. Jobs of different partitions overlap. A partition never has two at
//! once, nor does a day together with one of its hours.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

pub mod check;
pub mod files;
mod jobs;
mod log;
mod pace;
pub mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use arc_backup_core::{Key, Sink, WriteOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::xorshift;
use check::{Counts, Files, Seen};
use files::Unit;
use log::Log;
use pace::Pace;

/// Where in a job a writer is killed, named by the files that exist then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The state file and all inputs.
    State,
    /// The state file, all inputs, and an output of another size than the state file records.
    TornOutput,
    /// The state file, all inputs and the output.
    Output,
    /// The state file, the output and some inputs.
    SomeInputs,
    /// The state file and the output.
    NoInputs,
}

pub const STAGES: [Stage; 5] = [
    Stage::State,
    Stage::TornOutput,
    Stage::Output,
    Stage::SomeInputs,
    Stage::NoInputs,
];

/// How much a writer does.
#[derive(Debug, Clone)]
pub struct Settings {
    pub seed: u64,
    /// Files that are added, rewritten and deleted per second.
    pub changes_per_second: u32,
    pub tasks: u64,
}

/// The numbers of a writer's changes.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub changes: u64,
    /// While it was running.
    pub seconds: f64,
    pub hourly_jobs: u64,
    pub daily_jobs: u64,
    pub rewrites: u64,
    pub rows: usize,
    pub files: usize,
    pub kills: u64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.1} changes a second over {:.0} s, {} hourly and {} daily jobs, {} rewrites, {} kills, {} rows, {} files",
            self.changes as f64 / self.seconds,
            self.seconds,
            self.hourly_jobs,
            self.daily_jobs,
            self.rewrites,
            self.kills,
            self.rows,
            self.files
        )
    }
}

/// The writer was killed.
#[derive(Debug)]
struct Killed;

/// The content of the storage, and the files in use.
#[derive(Default)]
struct Model {
    /// The ids in each Parquet file.
    files: BTreeMap<String, Vec<i64>>,
    /// Files that a job or a rewrite uses.
    busy: BTreeSet<String>,
    /// Partitions with a running job.
    jobs: BTreeSet<String>,
    figures: Figures,
    since: Option<Instant>,
}

const RUN: u8 = 0;
const FINISH: u8 = 1;
const KILLED: u8 = 2;

struct Shared {
    sink: Arc<dyn Sink>,
    units: Vec<Unit>,
    model: Mutex<Model>,
    log: Mutex<Log>,
    pace: Pace,
    state: AtomicU8,
    kill_at: Mutex<Option<Stage>>,
    next_id: AtomicI64,
    next_name: AtomicU64,
    scratch: tempfile::TempDir,
}

impl Shared {
    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    fn alive(&self) -> Result<(), Killed> {
        match self.state.load(Ordering::SeqCst) {
            KILLED => Err(Killed),
            _ => Ok(()),
        }
    }

    /// Waits for its turn to change a file. A killed writer gets none.
    async fn turn(&self) -> Result<(), Killed> {
        self.pace.turn().await;
        self.changes()
    }

    fn turn_at_once(&self) -> Result<(), Killed> {
        self.pace.turn_at_once();
        self.changes()
    }

    fn changes(&self) -> Result<(), Killed> {
        self.alive()?;
        let mut model = self.model();
        model.figures.changes += u64::from(model.since.is_some());
        Ok(())
    }

    /// Kills the writer if this stage was requested.
    fn reached(&self, stage: Stage) -> Result<(), Killed> {
        let mut at = self.kill_at.lock().unwrap();
        if *at == Some(stage) {
            *at = None;
            self.state.store(KILLED, Ordering::SeqCst);
        }
        drop(at);
        self.alive()
    }

    async fn put(&self, key: &str, bytes: Vec<u8>) {
        let key = Key::parse(key).unwrap();
        let mut upload = (self.sink.begin(&key, WriteOptions::default()).await).unwrap();
        upload.write(bytes.into()).await.unwrap();
        upload.commit().await.unwrap();
    }

    async fn delete(&self, key: &str) {
        self.sink.delete(&[Key::parse(key).unwrap()]).await.unwrap();
    }

    /// Adds a file of a few new rows to an hour.
    async fn add(&self, unit: &Unit, hour: u32, count: i64) -> Result<(), Killed> {
        let first = self.next_id.fetch_add(count, Ordering::SeqCst);
        let ids: Vec<i64> = (first..first + count).collect();
        let key = unit.new_file(hour, "", self.next_name.fetch_add(1, Ordering::SeqCst));
        let bytes = self.parquet(&ids);
        self.turn().await?;
        let event = self.log().add(unit, &key, &ids);
        self.put(&key, bytes).await;
        self.model().files.insert(key, ids);
        self.log().end(event);
        Ok(())
    }

    /// Removes some rows of a file, which keeps its path. A file without rows is deleted.
    async fn rewrite(
        &self,
        unit: &Unit,
        random: &mut impl FnMut(u64) -> u64,
    ) -> Result<(), Killed> {
        let (key, ids) = {
            let mut model = self.model();
            let free = model.free(&format!("{}/", unit.day));
            if free.is_empty() {
                return Ok(());
            }
            let key = free[random(free.len() as u64) as usize].clone();
            model.busy.insert(key.clone());
            let ids = model.files[&key].clone();
            (key, ids)
        };
        let all = random(8) == 0;
        let (gone, kept): (Vec<i64>, Vec<i64>) = ids.iter().partition(|_| all || random(4) == 0);
        if !gone.is_empty() {
            let bytes = (!kept.is_empty()).then(|| self.parquet(&kept));
            self.turn().await?;
            let event = self.log().remove(unit, &key, &gone);
            match bytes {
                Some(bytes) => {
                    self.put(&key, bytes).await;
                    self.model().files.insert(key.clone(), kept);
                }
                None => {
                    self.delete(&key).await;
                    self.model().files.remove(&key);
                }
            }
            self.log().end(event);
            self.model().figures.rewrites += 1;
        }
        self.model().busy.remove(&key);
        Ok(())
    }

    async fn work(&self, seed: u64) {
        let mut random = xorshift(seed);
        while self.state.load(Ordering::SeqCst) == RUN {
            let unit = &self.units[random(self.units.len() as u64) as usize];
            let outcome = match random(20) {
                0..12 => {
                    let (hour, count) = (random(files::HOURS), 2 + random(8));
                    self.add(unit, hour as u32, count as i64).await
                }
                12..15 => self.rewrite(unit, &mut random).await,
                _ => self.compact(&mut random).await,
            };
            if outcome.is_err() {
                break;
            }
        }
    }
}

impl Model {
    /// The files below a folder that are not in use.
    fn free(&self, folder: &str) -> Vec<String> {
        (self.files.range(folder.to_owned()..))
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(folder))
            .filter(|key| !self.busy.contains(*key))
            .cloned()
            .collect()
    }
}

/// The writer, running or not.
pub struct Writer {
    shared: Arc<Shared>,
    runtime: &'static Runtime,
    settings: Settings,
    starts: u64,
    tasks: Vec<JoinHandle<()>>,
}

impl Writer {
    pub fn new(sink: Arc<dyn Sink>, runtime: &'static Runtime, settings: Settings) -> Self {
        let shared = Shared {
            sink,
            units: files::units(),
            model: Mutex::default(),
            log: Mutex::default(),
            pace: Pace::new(settings.changes_per_second),
            state: AtomicU8::new(FINISH),
            kill_at: Mutex::default(),
            next_id: AtomicI64::new(1),
            next_name: AtomicU64::new(0),
            scratch: tempfile::tempdir().unwrap(),
        };
        Self {
            shared: Arc::new(shared),
            runtime,
            settings,
            starts: 0,
            tasks: Vec::new(),
        }
    }

    /// Writes that many files as fast as it can, spread over all hours.
    pub fn fill(&self, files: usize) {
        let shared = &self.shared;
        shared.pace.unbounded(true);
        self.runtime.block_on(async {
            let hours = files::HOURS as usize;
            futures::future::join_all((0..self.settings.tasks as usize).map(async |task| {
                for number in (task..files).step_by(self.settings.tasks as usize) {
                    let unit = &shared.units[number % shared.units.len()];
                    let hour = (number / shared.units.len()) % hours;
                    shared.add(unit, hour as u32, 6).await.unwrap();
                }
            }))
            .await;
        });
        shared.pace.unbounded(false);
    }

    /// Compacts by the hour and by the day, until nothing is due.
    pub fn compact_all(&self) {
        self.shared.pace.unbounded(true);
        let jobs = || {
            let figures = self.figures();
            figures.hourly_jobs + figures.daily_jobs
        };
        let mut random = xorshift(self.settings.seed);
        loop {
            let before = jobs();
            (self.runtime.block_on(self.shared.compact(&mut random))).unwrap();
            if jobs() == before {
                break;
            }
        }
        self.shared.pace.unbounded(false);
    }

    /// Removes some rows of that many files.
    pub fn rewrite(&self, files: u64) {
        let shared = &self.shared;
        shared.pace.unbounded(true);
        let mut random = xorshift(self.settings.seed);
        let enough = self.figures().rewrites + files;
        while self.figures().rewrites < enough {
            let unit = &shared.units[random(shared.units.len() as u64) as usize];
            (self.runtime.block_on(shared.rewrite(unit, &mut random))).unwrap();
        }
        shared.pace.unbounded(false);
    }

    /// Begins to write, after Arc's cleanup of interrupted jobs.
    pub fn start(&mut self) {
        assert!(self.tasks.is_empty());
        self.runtime.block_on(self.shared.resolve());
        self.shared.state.store(RUN, Ordering::SeqCst);
        self.shared.model().since = Some(Instant::now());
        self.starts += 1;
        for task in 0..self.settings.tasks {
            let seed = self.settings.seed ^ (self.starts << 32) ^ (task + 1);
            let shared = self.shared.clone();
            let task = async move { shared.work(seed).await };
            self.tasks.push(self.runtime.spawn(task));
        }
    }

    /// Stops it after its running jobs.
    pub fn stop(&mut self) {
        let state = &self.shared.state;
        let _ = state.compare_exchange(RUN, FINISH, Ordering::SeqCst, Ordering::SeqCst);
        self.join();
    }

    /// Kills it as soon as a job reaches `stage`.
    pub fn kill_at(&self, stage: Stage) {
        *self.shared.kill_at.lock().unwrap() = Some(stage);
    }

    /// Waits until it has been killed.
    pub fn wait_killed(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.shared.state.load(Ordering::SeqCst) != KILLED {
            assert!(Instant::now() < until, "no job came to where to be killed");
            assert!(
                !self.tasks.iter().any(JoinHandle::is_finished),
                "the writer failed"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        self.join();
        self.shared.model().figures.kills += 1;
    }

    pub fn is_killed(&self) -> bool {
        self.shared.state.load(Ordering::SeqCst) == KILLED
    }

    fn join(&mut self) {
        for task in self.tasks.drain(..) {
            self.runtime.block_on(task).unwrap();
        }
        let mut model = self.shared.model();
        if let Some(since) = model.since.take() {
            model.figures.seconds += since.elapsed().as_secs_f64();
        }
    }

    pub fn figures(&self) -> Figures {
        let model = self.shared.model();
        let running = model
            .since
            .map_or(0.0, |since| since.elapsed().as_secs_f64());
        Figures {
            seconds: model.figures.seconds + running,
            rows: self.shared.log().rows.len(),
            files: model.files.len(),
            ..model.figures.clone()
        }
    }

    /// Checks the files of a restored copy.
    pub fn check(&self, files: Files, seen: &Seen) -> Result<Counts, check::Faults> {
        check::check(&self.shared.log(), files, seen)
    }

    /// A file with a row that was never written.
    pub fn foreign_file(&self) -> Vec<u8> {
        self.shared.parquet(&[i64::MAX / 2_000])
    }

    /// The same file with the first half of its rows.
    pub fn half_of(&self, bytes: Vec<u8>) -> Vec<u8> {
        let ids = files::ids_in(bytes).unwrap();
        self.shared.parquet(&ids[..ids.len() / 2])
    }

    /// Every id that is in the storage now. The writer must be idle.
    pub fn ids(&self) -> BTreeSet<i64> {
        let model = self.shared.model();
        model.files.values().flatten().copied().collect()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state.store(KILLED, Ordering::SeqCst);
    }
}

/// The time by the clock that the program uses, too.
pub fn now() -> SystemTime {
    SystemTime::now()
}
