//! The engine behind REST and the command line: one operation at a time, across processes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_backup_core::{Activity, Discard, Discarded, Sink, Source};
use jiff::Timestamp;

use crate::config::{Settings, TargetSettings};
use crate::manifest::{BackupId, InventoryFault};
use crate::operations::OperationKind;
use crate::operations::ending::Ending;
use crate::operations::history::{History, HistoryFile};
use crate::operations::instance_id::known_instance_id;
use crate::operations::instance_lock::InstanceLock;
use crate::operations::inventories::{Inventories, LocalInventory};
use crate::operations::restore::marker;
use crate::operations::running::Running;
use crate::operations::scratch::ScratchFolders;
use crate::operations::shared_places::{NestedTiers, nested_tiers, shared_with_storage};
use crate::operations::{
    KeyedRequest, KnownKey, OperationFilter, OperationPage, RestoreInProgress,
};
use crate::operations::{Operation, Status};
use crate::registry::Registry;
use crate::repository::Holder;
use crate::repository::Repository;
use crate::source::Exclusions;
use crate::{Error, Result};

/// Backs up and restores one Arc instance.
pub struct ArcBackup {
    pub(crate) settings: Arc<Settings>,
    pub(crate) sources: Vec<Arc<dyn Source>>,
    pub(crate) storage: Arc<dyn Sink>,
    /// Arc's cold tier, where it has one.
    pub(crate) cold: Option<Arc<dyn Sink>>,
    pub(crate) repositories: Vec<Repository>,
    pub(crate) history: History,
    pub(crate) scratch: ScratchFolders,
    pub(crate) inventories: Inventories,
    pub(crate) slot: tokio::sync::Mutex<()>,
    pub(crate) current: Mutex<Option<Arc<Running>>>,
    pub(crate) ending: Ending,
    pub(crate) marker_answer: marker::LastAnswer,
    /// The keys in the data storage that are not data.
    pub(crate) exclusions: Exclusions,
}

impl ArcBackup {
    /// Creates the engine for these settings, with the backends and sources of `registry`.
    ///
    /// # Errors
    /// Returns [`Error::Config`] if the configuration of a storage or target is invalid.
    pub fn new(settings: Settings, registry: &Registry) -> Result<Arc<Self>> {
        let repositories = registry.repositories(&settings)?;
        let named_roots: Vec<_> = (repositories.iter())
            .filter_map(|repository| {
                let target = settings
                    .targets
                    .iter()
                    .find(|t| t.name == repository.name())?;
                let root = repository.sink().properties().local_path?;
                Some((format!("{}.local_path", target.key), root))
            })
            .collect();
        settings.check_apart(&named_roots)?;
        let roots: Vec<_> = named_roots.into_iter().map(|(_, root)| root).collect();
        let storage = registry.storage(&settings)?;
        let cold = registry.cold(&settings)?;
        let mut excluded = settings.excluded_keys(&roots);
        excluded.extend(shared_with_storage(&settings, &storage, &repositories)?);
        let nested = match &cold {
            Some(cold) => nested_tiers(&storage, cold)?,
            None => NestedTiers::default(),
        };
        excluded.extend(nested.in_storage);
        let exclusions = Exclusions {
            keys: excluded,
            // By its path a target in a local storage is excluded however it is spelled.
            backups: storage.properties().local_path.is_none(),
            compaction: settings.compaction_key(),
        };
        let cold_tier = (cold.as_ref()).map(|cold| (cold, nested.in_cold));
        let sources = registry.sources(&settings, &storage, cold_tier, &exclusions, &roots)?;
        Ok(Arc::new(Self {
            history: History::new(settings.backup.state_path.clone(), settings.backup.history),
            scratch: ScratchFolders::new(settings.backup.state_folder()),
            inventories: Inventories::default(),
            settings: Arc::new(settings),
            sources,
            storage,
            cold,
            repositories,
            slot: tokio::sync::Mutex::default(),
            current: Mutex::default(),
            ending: Ending::default(),
            marker_answer: marker::LastAnswer::default(),
            exclusions,
        }))
    }

    /// Returns the settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.settings.backup.state_folder().join("instance.lock")
    }

    /// Returns Arc's data storage.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Sink> {
        &self.storage
    }

    /// Returns the keys in the data storage that are not data.
    pub(crate) fn exclusions(&self) -> &Exclusions {
        &self.exclusions
    }

    /// Returns the targets with their settings.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetSettings, &Repository)> {
        self.settings.targets.iter().filter_map(|target| {
            let found = self
                .repositories
                .iter()
                .find(|repository| repository.name() == target.name)?;
            Some((target, found))
        })
    }

    /// Removes or counts the leftover snapshots of crashed backups.
    pub(crate) async fn discard_snapshots(
        &self,
        discard: Discard,
        activity: &Activity,
    ) -> Discarded {
        let mut discarded = Discarded::default();
        for source in &self.sources {
            discarded.add(source.discard_snapshots(discard, activity).await);
        }
        discarded
    }

    /// Returns the operation that runs in this process, or ran last.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Running>> {
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the repository of a target; `None` means the default target.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`] for an unknown target; it lists the known ones.
    pub fn repository(&self, target: Option<&str>) -> Result<&Repository> {
        let name = target.unwrap_or(&self.settings.backup.default_target);
        self.repositories
            .iter()
            .find(|repository| repository.name() == name)
            .ok_or_else(|| {
                let known: Vec<_> = self.repositories.iter().map(Repository::name).collect();
                Error::Invalid(crate::config::unknown_target(
                    &self.settings.values,
                    &self.settings.backends,
                    name,
                    &known,
                ))
            })
    }

    /// Whether the service is shutting down.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.ending.is_cancelled()
    }

    /// Ends the running operation and prevents new ones. Returns when the operation has ended and
    /// its locks are released.
    pub async fn close(&self, reason: &str) {
        self.ending.request(reason);
        self.end_running(reason).await;
        // An operation that was about to start has started now, or it will be refused.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.slot.lock()).await;
        self.end_running(reason).await;
        self.settle().await;
    }

    async fn end_running(&self, reason: &str) {
        if let Some(running) = self.current().filter(|running| !running.is_done()) {
            running.cancel(reason);
            running.wait().await;
        }
    }

    /// Returns the inventory of a backup in a private local copy. A recent copy is reused.
    ///
    /// # Errors
    /// [`InventoryFault::Damaged`] describes the damage; other errors are those of the target.
    pub async fn inventory(
        &self,
        id: &BackupId,
        target: Option<&str>,
    ) -> Result<Arc<LocalInventory>, InventoryFault> {
        let (repository, loaded) = self.find(id, target).await?;
        // Backups that Arc made have no inventory: a listing replaces it, and it may change.
        let name = (loaded.manifest.inventory.as_ref()).map(|of| {
            let (target, sha256) = (repository.name().to_owned(), of.sha256.clone());
            (target, id.to_string(), sha256)
        });
        if let Some(cached) = name.as_ref().and_then(|name| self.inventories.get(name)) {
            return Ok(cached);
        }
        let scratch = self.scratch.for_reading()?;
        let inventory = repository.inventory(id, &loaded, scratch.path()).await?;
        let local = Arc::new(LocalInventory { inventory, scratch });
        if let Some(name) = name {
            self.inventories.insert(name, &local);
        }
        Ok(local)
    }

    /// Returns the random name of this instance; `None` before its first backup, and after the loss
    /// of its state folder.
    #[must_use]
    pub fn instance(&self) -> Option<String> {
        known_instance_id(self.settings.backup.state_folder())
    }

    /// Returns who runs an operation on this instance, in any process.
    #[must_use]
    pub fn busy(&self) -> Option<Holder> {
        if let Some(running) = self.current().filter(|running| !running.is_done()) {
            let operation = running.snapshot();
            return Some(Holder {
                started_at: operation.started_at.parse().ok(),
                ..Holder::this(operation.operation.as_str(), &operation.operation_id)
            });
        }
        InstanceLock::holder(&self.lock_path())
    }

    /// Marks crashed operations as failed. The caller holds the instance's lock.
    pub(crate) async fn mark_crashed(&self) -> Result<()> {
        let in_progress = self.restore_in_progress().await;
        self.history
            .with(move |file| mark_crashed(file, in_progress.as_ref()))
            .await
    }

    /// Returns the operation that runs or ran last, in any process; `None` if there was none yet.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn status(&self) -> Result<Option<Operation>> {
        if let Some(running) = self.current().filter(|running| !running.is_done()) {
            return Ok(Some(self.with_marker(running.snapshot()).await));
        }
        self.mark_crashed_if_free().await?;
        let last = self.history.list(0, 1).await?.pop();
        // This process knows its own operation even if the history could not be written.
        let own = (self.current().map(|running| running.snapshot())).filter(|own| {
            let began = |operation: &Operation| operation.started_at.parse::<Timestamp>().ok();
            last.as_ref().is_none_or(|last| {
                last.operation_id == own.operation_id || began(own) > began(last)
            })
        });
        if own.is_some() {
            return Ok(match own {
                Some(own) => Some(self.with_marker(own).await),
                None => None,
            });
        }
        // A list has no problems; a single entry has them.
        let last = match last {
            Some(last) => self
                .history
                .get(last.operation_id.clone())
                .await?
                .or(Some(last)),
            None => None,
        };
        Ok(match last {
            Some(last) => Some(self.with_marker(last).await),
            None => None,
        })
    }

    /// Returns the restore that was interrupted while it changed live data. The marker of a running
    /// restore does not count.
    pub async fn interrupted_restore(&self) -> Option<RestoreInProgress> {
        match self
            .busy()
            .is_some_and(|holder| holder.operation == OperationKind::Restore.as_str())
        {
            true => None,
            false => self.restore_in_progress().await,
        }
    }

    /// Adds the interrupted restore to the status, unless a restore is running.
    async fn with_marker(&self, mut operation: Operation) -> Operation {
        if (operation.operation, operation.status) != (OperationKind::Restore, Status::Running) {
            operation.restore_in_progress = self.restore_in_progress().await;
        }
        operation
    }

    async fn mark_crashed_if_free(&self) -> Result<()> {
        let stale = self.history.has_running().await?;
        let runs_here = self.current().is_some_and(|running| !running.is_done());
        if stale && !runs_here {
            let (path, in_progress) = (self.lock_path(), self.restore_in_progress().await);
            // No operation can start here and be mistaken for a crashed one.
            let settled = self.history.with(move |file| {
                InstanceLock::while_free(&path, || mark_crashed(file, in_progress.as_ref()))
                    .unwrap_or(Ok(()))
            });
            settled.await?;
        }
        Ok(())
    }

    /// Returns operations without their problems, newest first: `limit` of them after the first
    /// `offset`.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn operations(&self, offset: u64, limit: u64) -> Result<Vec<Operation>> {
        self.mark_crashed_if_free().await?;
        self.history.list(offset, limit).await
    }

    /// Returns the operations that `filter` selects, without their problems, newest first: `limit`
    /// of them after the first `offset`.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn find_operations(
        &self,
        filter: &OperationFilter,
        offset: u64,
        limit: u64,
    ) -> Result<OperationPage> {
        self.mark_crashed_if_free().await?;
        self.history.find(filter.clone(), offset, limit).await
    }

    /// Returns one operation with its problems.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn operation(&self, operation_id: &str) -> Result<Option<Operation>> {
        match self.current() {
            Some(running)
                if !running.is_done() && running.snapshot().operation_id == operation_id =>
            {
                Ok(Some(running.snapshot()))
            }
            running => {
                self.mark_crashed_if_free().await?;
                let recorded = self.history.get(operation_id.to_owned()).await?;
                // The end of the own operation may not have reached the history.
                let own = running.map(|running| running.snapshot());
                Ok(recorded.or(own.filter(|own| own.operation_id == operation_id)))
            }
        }
    }

    /// Looks up the answer to a request with this key, for 24 h.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn recall(&self, request: KeyedRequest) -> Result<Option<KnownKey>> {
        self.history.recall(request).await
    }

    /// Records the answer to a request with a key.
    ///
    /// # Errors
    /// Fails if the history cannot be written.
    pub async fn remember(&self, request: KeyedRequest, answer: String) -> Result<()> {
        self.history.remember(request, answer).await
    }

    /// Waits for the background work of the storage and the targets, such as the release of dropped
    /// locks; not longer than a second.
    pub async fn settle(&self) {
        let sinks = (self.repositories.iter())
            .map(Repository::sink)
            .chain([&self.storage])
            .chain(&self.cold);
        let settled = futures::future::join_all(sinks.map(|sink| sink.settle()));
        if tokio::time::timeout(SETTLE_TIMEOUT, settled).await.is_err() {
            tracing::warn!("aborted uploads or locks may remain: they expire by themselves");
        }
    }
}

/// Timeout for background work at the shutdown.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout for an operation that is about to start at the shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Marks crashed operations as failed. `in_progress` is the restore that a marker describes.
fn mark_crashed(file: &HistoryFile, in_progress: Option<&RestoreInProgress>) -> Result<()> {
    file.fail_unreadable()?;
    for mut operation in file.running()? {
        operation.status = Status::Failed;
        let text = match (operation.operation, in_progress) {
            (OperationKind::Restore, Some(_)) => {
                "interrupted: run the same restore again to complete it"
            }
            // It ended before its first change, or after its last one.
            (OperationKind::Restore, None) => "interrupted: no file is partly restored",
            _ => "interrupted",
        };
        operation.error = Some(text.to_owned());
        operation.eta_seconds = None;
        operation.bytes_per_second = None;
        operation.completed_at = Some(Timestamp::now().to_string());
        operation.phase = None;
        file.write(&operation)?;
    }
    Ok(())
}
