//! The service behind REST and the command line: one slot, in the process and across processes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_backup_core::{Activity, Discard, Discarded, Key, Sink, Source};
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
use crate::operations::{
    KeyedRequest, KnownKey, OperationFilter, OperationPage, RestoreInProgress,
};
use crate::operations::{Operation, Status};
use crate::registry::Registry;
use crate::repository::Holder;
use crate::repository::{Damaged, Incomplete, Repository, Summary, Unreadable};
use crate::source::Exclusions;
use crate::{Error, Result};

/// Backs up and restores one Arc instance.
pub struct ArcBackup {
    pub(crate) settings: Arc<Settings>,
    pub(crate) sources: Vec<Arc<dyn Source>>,
    pub(crate) storage: Arc<dyn Sink>,
    pub(crate) repositories: Vec<Repository>,
    pub(crate) history: History,
    pub(crate) scratch: ScratchFolders,
    pub(crate) inventories: Inventories,
    pub(crate) slot: tokio::sync::Mutex<()>,
    pub(crate) current: Mutex<Option<Arc<Running>>>,
    pub(crate) ending: Ending,
    pub(crate) marker_answer: marker::LastAnswer,
    /// What in the data storage is no data.
    pub(crate) exclusions: Exclusions,
}

/// A target that can't be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What can't be read now.
    pub unreadable: Vec<Unreadable>,
    /// Incomplete copies, newest first; where they were asked for.
    pub incomplete: Option<Vec<Incomplete>>,
    /// Targets that can't be listed.
    pub errors: Vec<TargetError>,
    /// Where the next page begins; where there is one.
    pub next: Option<String>,
}

impl ArcBackup {
    /// The service for these settings, with the backends and sources of `registry`.
    ///
    /// # Errors
    /// [`Error::Config`] when a storage or target can't be made of the configuration.
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
        let mut excluded = settings.excluded_keys(&roots);
        excluded.extend(shared_with_storage(&settings, &storage, &repositories)?);
        let exclusions = Exclusions {
            keys: excluded,
            // By its path a target in a local storage is excluded however it is spelled.
            backups: storage.properties().local_path.is_none(),
        };
        let sources = registry.sources(&settings, storage.clone(), exclusions.clone())?;
        Ok(Arc::new(Self {
            history: History::new(settings.backup.state_path.clone(), settings.backup.history),
            scratch: ScratchFolders::new(settings.backup.state_folder()),
            inventories: Inventories::default(),
            settings: Arc::new(settings),
            sources,
            storage,
            repositories,
            slot: tokio::sync::Mutex::default(),
            current: Mutex::default(),
            ending: Ending::default(),
            marker_answer: marker::LastAnswer::default(),
            exclusions,
        }))
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.settings.backup.state_folder().join("instance.lock")
    }

    /// Arc's data storage.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Sink> {
        &self.storage
    }

    /// What under the storage root is no data.
    pub(crate) fn exclusions(&self) -> &Exclusions {
        &self.exclusions
    }

    /// The targets, with their settings.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetSettings, &Repository)> {
        self.settings.targets.iter().filter_map(|target| {
            let found = self
                .repositories
                .iter()
                .find(|repository| repository.name() == target.name)?;
            Some((target, found))
        })
    }

    /// Removes, or counts, the views that crashed backups held on to.
    pub(crate) async fn discard_views(&self, discard: Discard, activity: &Activity) -> Discarded {
        let mut discarded = Discarded::default();
        for source in &self.sources {
            discarded.add(source.discard_views(discard, activity).await);
        }
        discarded
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
                Error::Invalid(crate::config::unknown_target(
                    &self.settings.values,
                    &self.settings.backends,
                    name,
                    &known,
                ))
            })
    }

    /// Whether the service is ending.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.ending.is_cancelled()
    }

    /// Ends the operation that runs, and lets no other begin. Returns when it has ended, and its locks are given back.
    pub async fn close(&self, reason: &str) {
        self.ending.ask(reason);
        self.end_running(reason).await;
        // One that was about to begin has either begun now, or finds the door closed.
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

    /// The inventory of a backup, in a private local copy. One that was asked for a moment ago is not read from the target again.
    ///
    /// # Errors
    /// [`InventoryFault::Damaged`] says what is wrong with it.
    pub async fn inventory(
        &self,
        id: &BackupId,
        target: Option<&str>,
    ) -> Result<Arc<LocalInventory>, InventoryFault> {
        let (repository, loaded) = self.find(id, target).await?;
        // Arc's own backups have none: theirs is made of a listing, which may change.
        let name = (loaded.manifest.inventory.as_ref()).map(|of| {
            let (target, sha256) = (repository.name().to_owned(), of.sha256.clone());
            (target, id.to_string(), sha256)
        });
        if let Some(kept) = name.as_ref().and_then(|name| self.inventories.get(name)) {
            return Ok(kept);
        }
        let scratch = self.scratch.for_reading()?;
        let inventory = repository.inventory(id, &loaded, scratch.path()).await?;
        let local = Arc::new(LocalInventory { inventory, scratch });
        if let Some(name) = name {
            self.inventories.keep(name, &local);
        }
        Ok(local)
    }

    /// The random name of this instance; `None` before its first backup, and where its state folder
    /// is lost.
    #[must_use]
    pub fn instance(&self) -> Option<String> {
        known_instance_id(self.settings.backup.state_folder())
    }

    /// Who runs an operation on this instance, in whatever process.
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

    /// Marks operations as failed that a crash has left `running`. Called with the instance's lock held.
    pub(crate) async fn settle_interrupted(&self) -> Result<()> {
        let in_progress = self.restore_in_progress().await;
        self.history
            .with(move |file| settle(file, in_progress.as_ref()))
            .await
    }

    /// The operation that runs, or ran last, in whatever process; `None` when nothing has run.
    ///
    /// # Errors
    /// When the history can't be read.
    pub async fn status(&self) -> Result<Option<Operation>> {
        if let Some(running) = self.current().filter(|running| !running.is_done()) {
            return Ok(Some(self.with_marker(running.snapshot()).await));
        }
        self.settle_if_free().await?;
        let last = self.history.list(0, 1).await?.pop();
        // What this process knows of its own operation is true even where the history could not be written.
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
        // With its problems.
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

    /// A restore that was interrupted while it changed live data. The marker of one that runs says
    /// no such thing.
    pub async fn interrupted_restore(&self) -> Option<RestoreInProgress> {
        match self
            .busy()
            .is_some_and(|holder| holder.operation == OperationKind::Restore.as_str())
        {
            true => None,
            false => self.restore_in_progress().await,
        }
    }

    /// A restore that runs says itself what it does; beside anything else, one that was interrupted is named.
    async fn with_marker(&self, mut operation: Operation) -> Operation {
        if (operation.operation, operation.status) != (OperationKind::Restore, Status::Running) {
            operation.restore_in_progress = self.restore_in_progress().await;
        }
        operation
    }

    async fn settle_if_free(&self) -> Result<()> {
        let stale = !self.history.running().await?.is_empty();
        let runs_here = self.current().is_some_and(|running| !running.is_done());
        if stale && !runs_here {
            let (path, in_progress) = (self.lock_path(), self.restore_in_progress().await);
            // Nobody can begin an operation meanwhile, which would be taken for an interrupted one.
            let settled = self.history.with(move |file| {
                InstanceLock::while_free(&path, || settle(file, in_progress.as_ref()))
                    .unwrap_or(Ok(()))
            });
            settled.await?;
        }
        Ok(())
    }

    /// Operations, newest first, without their problems.
    ///
    /// # Errors
    /// When the history can't be read.
    pub async fn operations(&self, offset: u64, limit: u64) -> Result<Vec<Operation>> {
        self.settle_if_free().await?;
        self.history.list(offset, limit).await
    }

    /// Those operations that `filter` lets through, newest first, without their problems: `limit`
    /// of them after the first `offset`.
    ///
    /// # Errors
    /// When the history can't be read.
    pub async fn find_operations(
        &self,
        filter: &OperationFilter,
        offset: u64,
        limit: u64,
    ) -> Result<OperationPage> {
        self.settle_if_free().await?;
        self.history.find(filter.clone(), offset, limit).await
    }

    /// One operation.
    ///
    /// # Errors
    /// When the history can't be read.
    pub async fn operation(&self, operation_id: &str) -> Result<Option<Operation>> {
        match self.current() {
            Some(running)
                if !running.is_done() && running.snapshot().operation_id == operation_id =>
            {
                Ok(Some(running.snapshot()))
            }
            running => {
                self.settle_if_free().await?;
                let kept = self.history.get(operation_id.to_owned()).await?;
                // One whose end could not be written.
                let own = running.map(|running| running.snapshot());
                Ok(kept.or(own.filter(|own| own.operation_id == operation_id)))
            }
        }
    }

    /// What was answered to a request with this key, in the last 24 h.
    ///
    /// # Errors
    /// When the history can't be read.
    pub async fn recall(&self, request: KeyedRequest) -> Result<Option<KnownKey>> {
        self.history.recall(request).await
    }

    /// Keeps the answer to a request with a key.
    ///
    /// # Errors
    /// When the history can't be written.
    pub async fn remember(&self, request: KeyedRequest, answer: String) -> Result<()> {
        self.history.remember(request, answer).await
    }

    /// Returns when what the storage and the targets do in the background has ended, or after a short time: locks that were
    /// dropped are given back there.
    pub async fn settle(&self) {
        let sinks = (self.repositories.iter())
            .map(Repository::sink)
            .chain([&self.storage]);
        let settled = futures::future::join_all(sinks.map(|sink| sink.settle()));
        if tokio::time::timeout(SETTLE_TIMEOUT, settled).await.is_err() {
            tracing::warn!(
                "uploads or locks that were given up may be left: they end by themselves"
            );
        }
    }
}

/// How long what goes on in the background is waited for at the end.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an operation that is about to begin is waited for at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Marks operations as failed that a crash has left `running`. `in_progress` is the restore that a marker tells of.
fn settle(file: &HistoryFile, in_progress: Option<&RestoreInProgress>) -> Result<()> {
    for mut operation in file.running()? {
        operation.status = Status::Failed;
        let text = match (operation.operation, in_progress) {
            (OperationKind::Restore, Some(_)) => {
                "interrupted: run the same restore again to complete it"
            }
            // Before its first change, or after its last.
            (OperationKind::Restore, None) => "interrupted: nothing is half restored",
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

/// The keys in Arc's data storage that are a target's: where both are in one bucket or container. Refuses places that are one.
fn shared_with_storage(
    settings: &Settings,
    storage: &Arc<dyn Sink>,
    repositories: &[Repository],
) -> Result<Vec<String>> {
    let probe = Key::parse("x").expect("a fixed name");
    let root = |sink: &Arc<dyn Sink>| {
        let address = sink.server_copy()?.address(&probe);
        let path = address.path.strip_suffix("x")?.to_owned();
        Some((address.place, path))
    };
    let refuse = |repository: &Repository, other: &str| {
        let target = (settings.targets.iter()).find(|target| target.name == repository.name());
        Err(Error::Config(format!(
            "`{}` is the place of {other} ({}): choose another prefix, bucket or container",
            target.map_or("a target", |target| &target.key),
            repository.sink().location()
        )))
    };
    let mut keys = Vec::new();
    let mut places: Vec<((String, String), &Repository)> = Vec::new();
    let of_storage = root(storage);
    for repository in repositories {
        let Some(place) = root(repository.sink()) else {
            continue;
        };
        if let Some((_, other)) = places.iter().find(|(other, _)| *other == place) {
            return refuse(repository, &format!("the target {:?}", other.name()));
        }
        if let Some((host, path)) = &of_storage
            && *host == place.0
        {
            match place.1.strip_prefix(path.as_str()) {
                Some("") => return refuse(repository, "Arc's data storage"),
                Some(inside) => keys.push(inside.trim_end_matches('/').to_owned()),
                None => {}
            }
        }
        places.push((place, repository));
    }
    Ok(keys)
}
