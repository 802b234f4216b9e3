//! The service behind REST and the command line: one slot, in the process and across processes.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_backup_core::{ErrorKind, LockGuard, Source};
use futures::future::join_all;
use jiff::Timestamp;

use super::context::Context;
use super::history::History;
use super::operation::{Operation, Status};
use super::restore::RestoreOptions;
use super::running::{Running, Who};
use super::verify::VerifyMode;
use super::{Holder, backup, restore, verify};
use crate::config::Settings;
use crate::manifest::{BackupId, Inventory, InventoryFault};
use crate::private::Scratch;
use crate::registry::Registry;
use crate::repository::{Damaged, Journal, Loaded, Repository, Summary, Swept};
use crate::{Error, Result};

/// How often a running operation is written to the history, for other processes to see.
const HISTORY_INTERVAL: Duration = Duration::from_secs(1);

/// How often the instance's lock is tried, 5 ms apart.
const LOCK_TRIES: u32 = 20;
/// Scratch folders of operations, one at a time.
const OPERATIONS: &str = "operations";
/// Scratch folders of listings, any number at a time.
const READS: &str = "reads";

/// Backs up and restores one Arc instance.
pub struct ArcBackup {
    settings: Arc<Settings>,
    sources: Vec<Arc<dyn Source>>,
    repositories: Vec<Repository>,
    history: History,
    slot: tokio::sync::Mutex<()>,
    current: Mutex<Option<Arc<Running>>>,
}

/// What to do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Request {
    /// Make a backup.
    Backup {
        /// With databases.
        metadata: bool,
        /// With `arc.toml`.
        config: bool,
        /// To this target instead of the default one.
        target: Option<String>,
        /// Under this id instead of a new one: for the demo.
        id: Option<BackupId>,
    },
    /// Restore one.
    Restore(BackupId, RestoreOptions),
    /// Verify one.
    Verify(BackupId, VerifyMode),
    /// Delete one.
    Delete(BackupId),
}

impl Request {
    fn name(&self) -> &'static str {
        match self {
            Self::Backup { .. } => "backup",
            Self::Restore(..) => "restore",
            Self::Verify(..) => "verify",
            Self::Delete(_) => "delete",
        }
    }
}

/// A target that can't be listed.
#[derive(Debug, Clone, PartialEq, Eq, poem_openapi::Object)]
pub struct TargetError {
    /// Its name.
    pub target: String,
    /// Why.
    pub detail: String,
}

/// The backups of all targets.
#[derive(Debug, Clone, Default)]
pub struct ListAnswer {
    /// The backups, newest first.
    pub backups: Vec<Summary>,
    /// What only looks like one.
    pub damaged: Vec<Damaged>,
    /// Targets that can't be listed.
    pub errors: Vec<TargetError>,
}

/// The lock of this instance, whatever the target.
struct InstanceLock(File);

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // Closing the file would do; unlocking is at once even where a child has it open.
        let _ = self.0.set_len(0);
        let _ = self.0.unlock();
    }
}

impl ArcBackup {
    /// The service for these settings, with the backends and sources of `registry`.
    ///
    /// # Errors
    /// [`Error::Config`] when a storage or target can't be made of the configuration.
    pub fn new(settings: Settings, registry: &Registry) -> Result<Arc<Self>> {
        let repositories = registry.repositories(&settings)?;
        let roots: Vec<_> = (repositories.iter())
            .filter_map(|repository| repository.sink().capabilities().local_root)
            .collect();
        let sources = registry.sources(&settings, &roots)?;
        Ok(Arc::new(Self {
            history: History::new(settings.backup.state_path.clone()),
            settings: Arc::new(settings),
            sources,
            repositories,
            slot: tokio::sync::Mutex::default(),
            current: Mutex::default(),
        }))
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn lock_path(&self) -> PathBuf {
        self.settings.backup.state_folder().join("instance.lock")
    }

    /// The operation that runs in this process, or ran last.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Running>> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The repository of a target.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the targets that there are.
    pub fn repository(&self, target: Option<&str>) -> Result<&Repository> {
        let name = target.unwrap_or(&self.settings.backup.default_target);
        self.repositories
            .iter()
            .find(|repository| repository.name() == name)
            .ok_or_else(|| {
                let known: Vec<_> = self.repositories.iter().map(Repository::name).collect();
                Error::Invalid(format!(
                    "unknown target {name:?}; known targets: {}",
                    known.join(", ")
                ))
            })
    }

    /// The backups of all targets, or of one, newest first. A target that can't be reached hides nothing of the others.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown target.
    pub async fn list(&self, target: Option<&str>) -> Result<ListAnswer> {
        let repositories: Vec<&Repository> = match target {
            Some(_) => vec![self.repository(target)?],
            None => self.repositories.iter().collect(),
        };
        let listings = join_all(repositories.iter().map(|repository| repository.list())).await;
        let mut answer = ListAnswer::default();
        for (repository, listing) in repositories.iter().zip(listings) {
            match listing {
                Ok(listing) => {
                    answer.backups.extend(listing.backups);
                    answer.damaged.extend(listing.damaged);
                }
                Err(error) => answer.errors.push(TargetError {
                    target: repository.name().to_owned(),
                    detail: error.to_string(),
                }),
            }
        }
        answer.backups.sort_by(crate::repository::newest_first);
        Ok(answer)
    }

    /// Finds a backup in whichever target holds it.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Damaged`] when something is there that is no backup.
    pub async fn find(&self, id: &BackupId) -> Result<(&Repository, Loaded)> {
        let mut fault = Error::NotFound(id.to_string());
        for repository in &self.repositories {
            match repository.load(id).await {
                Ok(loaded) => return Ok((repository, loaded)),
                Err(Error::NotFound(_)) => {}
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    async fn locate(&self, id: &BackupId) -> Result<&Repository> {
        let mut fault = Error::NotFound(id.to_string());
        for repository in &self.repositories {
            match repository.load(id).await {
                Ok(_) | Err(Error::Damaged { .. }) => return Ok(repository),
                Err(Error::NotFound(_)) => {}
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    /// The inventory of a backup, in a private local copy that is removed with the scratch folder's guard.
    ///
    /// # Errors
    /// [`InventoryFault::Damaged`] says what is wrong with it.
    pub async fn inventory(
        &self,
        id: &BackupId,
    ) -> Result<(Inventory, impl Drop + use<>), InventoryFault> {
        let (repository, loaded) = self.find(id).await?;
        let scratch = self.scratch(READS, &crate::random_hex::<8>()?)?;
        let inventory = repository.inventory(id, &loaded, scratch.path()).await?;
        Ok((inventory, scratch))
    }

    fn scratch(&self, kind: &str, name: &str) -> Result<Scratch> {
        let path = self
            .settings
            .backup
            .state_folder()
            .join("scratch")
            .join(kind)
            .join(name);
        Scratch::create(path.clone()).map_err(|e| {
            Error::Failed(format!(
                "{} (set `backup.state_path` to a file in a folder that can be written)",
                Error::io("create", &path, e)
            ))
        })
    }

    /// Removes scratch folders that crashes have left. With the instance's lock held, no operation has one in use; a
    /// listing of files, which needs no lock, is done with its own long before an hour is over.
    fn clean_scratch(&self) -> Result<()> {
        let scratch = self.settings.backup.state_folder().join("scratch");
        let operations = scratch.join(OPERATIONS);
        match std::fs::remove_dir_all(&operations) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &operations, error));
            }
            _ => {}
        }
        let Ok(reads) = std::fs::read_dir(scratch.join(READS)) else {
            return Ok(());
        };
        for read in reads.flatten() {
            let age = read
                .metadata()
                .and_then(|meta| meta.modified())
                .ok()
                .and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > Duration::from_secs(3600)) {
                // The next operation tries again.
                let _ = std::fs::remove_dir_all(read.path());
            }
        }
        Ok(())
    }

    fn lock_instance(&self, holder: &Holder) -> Result<InstanceLock> {
        let path = self.lock_path();
        let fault = |e| {
            Error::Failed(format!(
                "{} (set `backup.state_path` to a file in a folder that can be written)",
                Error::io("lock", &path, e)
            ))
        };
        crate::private::create_folder(self.settings.backup.state_folder()).map_err(fault)?;
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fault)?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Who only asks whether it is held has it for a moment, and leaves no text: that is no holder.
                Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy(Box::new(read_holder(&mut file))));
                }
                Err(TryLockError::Error(error)) => return Err(fault(error)),
            }
        }
        file.set_len(0).map_err(fault)?;
        file.rewind().map_err(fault)?;
        file.write_all(holder.to_text().as_bytes()).map_err(fault)?;
        Ok(InstanceLock(file))
    }

    /// Who runs an operation on this instance, in whatever process.
    #[must_use]
    pub fn busy(&self) -> Option<Holder> {
        if let Some(running) = self.current().filter(|running| !running.is_done()) {
            let operation = running.snapshot();
            return Some(Holder::this(&operation.operation, &operation.operation_id));
        }
        let mut file = File::options().read(true).open(self.lock_path()).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_holder(&mut file)),
            _ => None,
        }
    }

    /// Starts an operation; it goes on by itself. Its progress is published before this returns.
    ///
    /// # Errors
    /// [`Error::Busy`] names the holder; [`Error::NotFound`] and [`Error::Damaged`] when there is no such backup to work with.
    pub async fn start(self: &Arc<Self>, request: Request, who: Who) -> Result<Arc<Running>> {
        let _slot = self.slot.lock().await;
        if let Some(holder) = self.busy() {
            return Err(Error::Busy(Box::new(holder)));
        }
        let started = Timestamp::now();
        let operation_id = format!(
            "{}-{}",
            started.strftime("%Y%m%d-%H%M%S"),
            crate::random_hex::<4>()?
        );
        let holder = Holder::this(request.name(), &operation_id);
        let instance = self.lock_instance(&holder)?;
        self.settle_interrupted()?;
        self.clean_scratch()?;
        let (repository, id) = match &request {
            Request::Backup { target, id, .. } => {
                let id = id.clone().map_or_else(|| BackupId::new(started), Ok)?;
                (self.repository(target.as_deref())?, id)
            }
            Request::Restore(id, _) => (self.find(id).await?.0, id.clone()),
            Request::Verify(id, _) | Request::Delete(id) => (self.locate(id).await?, id.clone()),
        };
        let read_only = matches!(request, Request::Restore(..) | Request::Verify(..));
        let lock = match repository.lock(&holder).await {
            Ok(lock) => Some(lock),
            // A disaster's credentials may only read: then the instance's own lock is what there is.
            Err(Error::Storage(error))
                if read_only && error.kind() == ErrorKind::PermissionDenied =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let operation = Operation {
            operation: request.name().to_owned(),
            operation_id: operation_id.clone(),
            backup_id: id.to_string(),
            status: Status::Running,
            target: Some(repository.name().to_owned()),
            phase: None,
            total_files: 0,
            processed_files: 0,
            skipped_files: 0,
            total_bytes: 0,
            processed_bytes: 0,
            bytes_per_second: None,
            eta_seconds: None,
            started_at: started.to_string(),
            completed_at: None,
            error: None,
            actor: who.actor.clone(),
            origin: who.origin.to_owned(),
            problems: Vec::new(),
            problem_count: 0,
            warnings: Vec::new(),
            not_included: Vec::new(),
            special_files: None,
            special_sample: Vec::new(),
            unaddressable_files: None,
            unaddressable_sample: Vec::new(),
            verified: None,
            unchanged_files: None,
            set_aside_files: None,
            set_aside_location: None,
            appeared_files: None,
            kept: Vec::new(),
            restart_required: None,
        };
        let running = Running::new(operation, started, who);
        self.history.write(&running.snapshot())?;
        let context = Context {
            settings: self.settings.clone(),
            sources: self.sources.clone(),
            repository: repository.clone(),
            id,
            scratch: self.scratch(OPERATIONS, &operation_id)?,
            operation_id,
            running: running.clone(),
            lock,
        };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(running.clone());
        let engine = self.clone();
        tokio::spawn(async move { engine.run(request, context, instance).await });
        Ok(running)
    }

    async fn run(self: Arc<Self>, request: Request, mut context: Context, instance: InstanceLock) {
        let running = context.running.clone();
        let timeout = self.settings.backup.timeout;
        let watchdog = {
            let (engine, running) = (self.clone(), running.clone());
            tokio::spawn(async move {
                let ends = tokio::time::Instant::now() + timeout;
                loop {
                    tokio::time::sleep(HISTORY_INTERVAL).await;
                    if tokio::time::Instant::now() >= ends {
                        running.cancel(&format!(
                            "it took longer than `backup.timeout` ({} s)",
                            timeout.as_secs()
                        ));
                    }
                    if let Err(error) = engine.history.write(&running.snapshot()) {
                        tracing::warn!(%error, "progress is not kept");
                    }
                }
            })
        };
        // A panic must end as a failed operation, not as one that runs for ever.
        let work = tokio::spawn(async move {
            let result = match request {
                Request::Backup {
                    metadata, config, ..
                } => backup::run(&context, metadata, config).await,
                Request::Restore(_, options) => restore::run(&context, &options).await,
                Request::Verify(_, mode) => verify::run(&context, mode).await,
                Request::Delete(_) => delete(&context).await,
            };
            if let Some(lock) = context.lock.take()
                && let Err(error) = lock.release().await
            {
                tracing::warn!(%error, "the lock was not given back");
            }
            result
        });
        let result = match work.await {
            Ok(result) => result,
            Err(error) => Err(Error::Failed(format!("internal fault: {error}"))),
        };
        watchdog.abort();
        let _ = watchdog.await;
        let mut ended = running.snapshot();
        ended.completed_at = Some(Timestamp::now().to_string());
        ended.phase = None;
        match &result {
            Ok(()) => ended.status = Status::Completed,
            Err(error) => {
                tracing::error!(operation = %ended.operation, id = %ended.operation_id, %error, "failed");
                ended.status = Status::Failed;
                ended.error = Some(error.to_string());
            }
        }
        ended.bytes_per_second = None;
        ended.eta_seconds = None;
        if let Err(error) = self.history.write(&ended) {
            tracing::error!(%error, "the end of an operation is not kept");
            ended.warnings.push(error.to_string());
        }
        // The slot is free before the status stops saying `running`: who sees the end may start the next at once.
        drop(instance);
        let gate = self.slot.lock().await;
        running.update(|operation| *operation = ended);
        running.finish();
        drop(gate);
    }

    /// Marks operations as failed that a crash has left `running`. Called with the instance's lock held, or found free.
    fn settle_interrupted(&self) -> Result<()> {
        for mut operation in self.history.list(0, 5)? {
            if operation.status == Status::Running {
                operation.status = Status::Failed;
                operation.error = Some(match operation.operation.as_str() {
                    "restore" => {
                        "interrupted: run the same restore again to complete it".to_owned()
                    }
                    _ => "interrupted".to_owned(),
                });
                operation.completed_at = Some(Timestamp::now().to_string());
                operation.phase = None;
                self.history.write(&operation)?;
            }
        }
        Ok(())
    }

    /// The operation that runs, or ran last, in whatever process; `None` when nothing has run.
    ///
    /// # Errors
    /// When the history can't be read.
    pub fn status(&self) -> Result<Option<Operation>> {
        if let Some(running) = self.current().filter(|running| !running.is_done()) {
            return Ok(Some(running.snapshot()));
        }
        self.settle_if_free()?;
        let last = self.history.list(0, 1)?.pop();
        // What this process knows of its own operation is true even where the history could not be written.
        match self.current().map(|running| running.snapshot()) {
            Some(own)
                if last
                    .as_ref()
                    .is_none_or(|last| last.operation_id == own.operation_id) =>
            {
                Ok(Some(own))
            }
            _ => Ok(last),
        }
    }

    fn settle_if_free(&self) -> Result<()> {
        let stale = self
            .history
            .list(0, 5)?
            .iter()
            .any(|operation| operation.status == Status::Running);
        if stale && self.busy().is_none() {
            self.settle_interrupted()?;
        }
        Ok(())
    }

    /// Operations, newest first.
    ///
    /// # Errors
    /// When the history can't be read.
    pub fn operations(&self, offset: u64, limit: u64) -> Result<Vec<Operation>> {
        self.settle_if_free()?;
        self.history.list(offset, limit)
    }

    /// One operation.
    ///
    /// # Errors
    /// When the history can't be read.
    pub fn operation(&self, operation_id: &str) -> Result<Option<Operation>> {
        match self.current() {
            Some(running)
                if !running.is_done() && running.snapshot().operation_id == operation_id =>
            {
                Ok(Some(running.snapshot()))
            }
            _ => {
                self.settle_if_free()?;
                self.history.get(operation_id)
            }
        }
    }

    /// What interrupted operations have left in the targets; removed with `apply`.
    ///
    /// # Errors
    /// [`Error::Busy`] when an operation runs.
    pub async fn sweep(&self, apply: bool) -> Result<Vec<(String, Swept)>> {
        let _slot = self.slot.lock().await;
        if let Some(holder) = self.busy() {
            return Err(Error::Busy(Box::new(holder)));
        }
        let holder = Holder::this("sweep", "sweep");
        let _instance = if apply {
            Some(self.lock_instance(&holder)?)
        } else {
            None
        };
        let mut all = Vec::new();
        for repository in &self.repositories {
            let lock: Option<Box<dyn LockGuard>> = if apply {
                Some(repository.lock(&holder).await?)
            } else {
                None
            };
            all.push((repository.name().to_owned(), repository.sweep(apply).await?));
            if let Some(lock) = lock {
                lock.release().await?;
            }
        }
        if apply {
            self.clean_scratch()?;
            restore::sweep(&self.settings, &self.sources).await?;
        }
        Ok(all)
    }

    /// What a restore that was interrupted after its first change says of itself.
    #[must_use]
    pub fn restore_in_progress(&self) -> Option<serde_json::Value> {
        restore::marker(&self.settings)
    }
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    // A holder that has only just taken the lock has written nothing yet.
    let _ = file.rewind();
    let _ = file.take(64 << 10).read_to_string(&mut text);
    Holder::from_text(&text)
}

async fn delete(context: &Context) -> Result<()> {
    context.running.phase("deleting");
    let journal = context.journal("delete");
    context.repository.delete(&context.id, &journal).await
}

impl Context {
    pub(super) fn journal(&self, operation: &str) -> Journal {
        let holder = Holder::this(operation, &self.operation_id);
        Journal {
            operation: holder.operation,
            backup_id: self.id.to_string(),
            operation_id: holder.operation_id,
            pid: holder.pid,
            host: holder.host,
            started_at: Timestamp::now(),
        }
    }
}
