//! The engine behind REST and the command line: one operation that writes at a time, across
//! processes, and some that only read beside it.

use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{Activity, Discard, Discarded, Sink, Source};

use crate::config::{RetentionSettings, Settings, TargetSettings};
use crate::manifest::{BackupId, InventoryFault};
use crate::operations::ending::Ending;
use crate::operations::history::History;
use crate::operations::instance_id::known_instance_id;
use crate::operations::inventories::{Inventories, LocalInventory};
use crate::operations::restore::marker;
use crate::operations::retention_in_force::RetentionInForce;
use crate::operations::running::Running;
use crate::operations::running_set::RunningSet;
use crate::operations::scratch::ScratchFolders;
use crate::operations::shared_places::{NestedTiers, nested_tiers, shared_with_storage};
use crate::operations::slots::Slots;
use crate::operations::{KeyedRequest, KnownKey};
use crate::registry::{NewInstances, Registry};
use crate::repository::{Loaded, Repository};
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
    pub(crate) retention: RetentionInForce,
    pub(crate) slots: Slots,
    pub(crate) running: RunningSet,
    pub(crate) ending: Ending,
    pub(crate) marker_answer: marker::LastAnswer,
    /// The keys in the data storage that are not data.
    pub(crate) exclusions: Exclusions,
    /// Makes the parts of an instance that a restore makes in a folder.
    pub(crate) new_instances: NewInstances,
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
            retention: RetentionInForce::default(),
            slots: Slots::new(settings.backup.state_folder()),
            running: RunningSet::default(),
            settings: Arc::new(settings),
            sources,
            storage,
            cold,
            repositories,
            ending: Ending::default(),
            marker_answer: marker::LastAnswer::default(),
            exclusions,
            new_instances: registry.new_instances(),
        }))
    }

    /// Returns the settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the rules of targets and schedules that are in force.
    ///
    /// # Errors
    /// [`Error::Config`] for a wrong schedule: which rules it has is unknown.
    pub fn retention(&self) -> Result<RetentionSettings> {
        self.retention.get(&self.settings)
    }

    /// Puts the rules of these settings in force.
    ///
    /// # Errors
    /// As [`ArcBackup::retention`]; then the rules stay as they were.
    pub fn take_up_retention(&self, settings: &Settings) -> Result<()> {
        self.retention.take_up(settings)
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

    /// Returns the operation that runs in this process, or ran last. Of several, it is that which
    /// writes, or else that which began last.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Running>> {
        self.running.current()
    }

    /// Returns the operation of this id, if it runs in this process or is one of the last that
    /// ended.
    #[must_use]
    pub fn running(&self, operation_id: &str) -> Option<Arc<Running>> {
        self.running.get(operation_id)
    }

    /// Whether somebody with this token started an operation that runs in this process, or is one
    /// of the last that ended.
    pub(crate) fn was_started_with(&self, fingerprint: [u8; 32]) -> bool {
        self.running.has_token(fingerprint)
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

    /// Ends the running operations and prevents new ones. Returns when they have ended and their
    /// locks are released.
    pub async fn close(&self, reason: &str) {
        self.ending.request(reason);
        self.end_running(reason).await;
        // An operation that was about to start has started now, or it will be refused.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.slots.begun()).await;
        self.end_running(reason).await;
        self.settle().await;
    }

    async fn end_running(&self, reason: &str) {
        let all = self.running.under_way();
        for running in &all {
            running.cancel(reason);
        }
        futures::future::join_all(all.iter().map(|running| running.wait())).await;
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
        Ok(self.find_with_inventory(id, target).await?.2)
    }

    /// The same, with where the backup was found.
    pub(crate) async fn find_with_inventory(
        &self,
        id: &BackupId,
        target: Option<&str>,
    ) -> Result<(Repository, Loaded, Arc<LocalInventory>), InventoryFault> {
        let (repository, loaded) = self.find(id, target).await?;
        let local = self.local_inventory(&repository, id, &loaded).await?;
        Ok((repository, loaded, local))
    }

    /// The inventory of a backup that was found, in a private local copy, which may be a recent
    /// one.
    pub(crate) async fn local_inventory(
        &self,
        repository: &Repository,
        id: &BackupId,
        loaded: &Loaded,
    ) -> Result<Arc<LocalInventory>, InventoryFault> {
        // Backups that Arc made have no inventory: a listing replaces it, and it may change.
        let name = (loaded.manifest.inventory.as_ref()).map(|of| {
            let (target, sha256) = (repository.name().to_owned(), of.sha256.clone());
            (target, id.to_string(), sha256)
        });
        if let Some(cached) = name.as_ref().and_then(|name| self.inventories.get(name)) {
            return Ok(cached);
        }
        let scratch = self.scratch.for_reading()?;
        let inventory = repository.inventory(id, loaded, scratch.path()).await?;
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
