//! The preview of a restore, which is shown before it begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{
    Activity, InvalidOperationId, OperationId, Scope, Section, StagedBefore, Staging,
};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::manifest::{BackupId, InventoryFault, Manifest, SourceInfo};
use crate::operations::entries::section_entries;
use crate::operations::instance_id::known_instance_id;
use crate::operations::problems::PathSet;
use crate::operations::restore::arc_idle::{Seen, look_for_arc};
use crate::operations::restore::destination::Instance;
use crate::operations::restore::no_files::check_has_files;
use crate::operations::restore::plan::RestorePlan;
use crate::operations::restore::planning::sections_to_restore;
use crate::operations::restore::rename::renamed;
use crate::operations::restore::unfinished_jobs;
use crate::operations::restore::untouched::untouched;
use crate::operations::selected::check_matches;
use crate::operations::{ArcBackup, DataSelection, RestoreOptions};
use crate::repository::{Loaded, Repository, own};
use crate::source::{ICEBERG, section_of};
use crate::{Error, Result};

/// Where the data of a backup came from, or where the data of this instance is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupOrigin {
    /// `local`, `s3`, `azure`.
    pub backend: String,
    /// The path or URL, without credentials.
    pub location: String,
    /// The random name of the instance, from its state folder; absent if it has none yet.
    pub instance: Option<String>,
}

impl BackupOrigin {
    /// Returns the origin of a backup; `None` if its manifest has none, as in a backup that Arc
    /// made.
    #[must_use]
    pub fn from_manifest(manifest: &Manifest) -> Option<Self> {
        let SourceInfo {
            backend,
            location,
            instance,
        } = manifest.source.clone()?;
        Some(Self {
            backend,
            location,
            instance,
        })
    }

    /// Whether this is other data than `own`: data in another place, or of another instance. A
    /// named instance also differs from one without a name.
    #[must_use]
    pub fn is_other_than(&self, own: &Self) -> bool {
        let is_elsewhere = (&self.backend, &self.location) != (&own.backend, &own.location);
        is_elsewhere || self.instance.is_some() && self.instance != own.instance
    }
}

impl std::fmt::Display for BackupOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            backend, location, ..
        } = self;
        match &self.instance {
            Some(instance) => write!(f, "{backend} {location} (instance {instance})"),
            None => write!(f, "{backend} {location} (no instance name yet)"),
        }
    }
}

/// The files that a restore writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreDestination {
    /// Arc's data storage, with the name of this instance.
    pub storage: BackupOrigin,
    /// The paths of the databases that are replaced.
    pub databases: Vec<String>,
    /// The configuration file that is replaced.
    pub config: Option<String>,
    /// The folder of the Iceberg warehouse, where the backup has one.
    pub warehouse: Option<String>,
}

/// The preview of a restore.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestorePreview {
    /// The backup.
    pub backup_id: String,
    /// The target that holds it.
    pub target: String,
    /// When the backup began, RFC 3339.
    pub created_at: String,
    /// The age of the backup in seconds.
    pub age_seconds: Option<u64>,
    /// Where its data came from; absent for a backup that Arc made.
    pub source: Option<BackupOrigin>,
    /// Whether the backup is known to be of another instance, or of other data.
    pub other_instance: bool,
    /// The files that the restore writes.
    pub destination: RestoreDestination,
    /// Whether these are of this instance, and not of a new one.
    pub is_live: bool,
    /// New names of databases, by those in the backup.
    pub rename: BTreeMap<String, String>,
    /// The databases that the restore is limited to, sorted; empty if it is not.
    pub scope: Vec<String>,
    /// The part of the data that the restore is limited to; absent if it is not.
    pub selection: Option<DataSelection>,
    /// Arc's databases in the backup; empty if the data is not restored.
    pub databases: Vec<String>,
    /// The files of SQLite databases in the backup; empty if they are not restored.
    pub sqlite_databases: Vec<String>,
    /// The planned changes. Absent if planning failed or took too long.
    pub plan: Option<RestorePlan>,
    /// Why there is no `plan`, if that is known.
    pub plan_error: Option<String>,
    /// The id of the plan, where a restore can name it.
    pub plan_id: Option<String>,
    /// Whether Arc seems to be running; absent if that is unknown.
    pub arc_running: Option<bool>,
    /// The evidence for `arc_running`.
    pub arc_seen: Option<String>,
    /// Whether Arc must be restarted afterwards.
    pub restart_required: bool,
}

impl ArcBackup {
    /// Returns the preview of a restore. It changes nothing but its scratch folder. The plan is
    /// omitted if it takes longer than `limit`.
    ///
    /// # Errors
    /// Fails like [`find_to_restore`](Self::find_to_restore).
    pub async fn preview_restore(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        target: Option<&str>,
        limit: Duration,
    ) -> Result<RestorePreview> {
        let (repository, loaded) = self
            .find_to_restore(id, target, options.allow_incomplete)
            .await?;
        let manifest = &loaded.manifest;
        let options = &options.within_backup(manifest);
        let instance = self.instance_for(id, options, manifest)?;
        let (figures, seen) = futures::join!(
            self.restore_figures(&repository, &loaded, id, options, &instance, limit),
            look_for_arc(&instance.settings),
        );
        let (plan, plan_error) = match figures {
            Ok(plan) => (plan, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let (arc_running, arc_seen) = match seen {
            Seen::Runs(how) => (Some(true), Some(how)),
            Seen::Stopped(how) => (Some(false), Some(how)),
            Seen::Unknown => (None, None),
        };
        let own = origin_of(&instance);
        let source = BackupOrigin::from_manifest(manifest);
        let is_other =
            |source: &BackupOrigin| options.destination.is_live() && source.is_other_than(&own);
        let included = &manifest.databases_included;
        let replaced = instance.settings.databases.iter().filter(|database| {
            options.includes(&Section::Metadata)
                && manifest.has_metadata
                && (included.is_empty() || included.iter().any(|one| one.file == database.file))
        });
        let absolute = |path: &std::path::Path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            path.display().to_string()
        };
        let iceberg = Section::Other(ICEBERG.to_owned());
        let warehouse = instance.settings.warehouse_folder();
        let warehouse = warehouse
            .as_deref()
            .filter(|_| options.includes(&iceberg) && manifest.iceberg_warehouse.is_some());
        Ok(RestorePreview {
            backup_id: id.to_string(),
            target: repository.name().to_owned(),
            created_at: manifest.created_at.clone(),
            age_seconds: age_seconds(manifest),
            other_instance: source.as_ref().is_some_and(is_other),
            source,
            destination: RestoreDestination {
                databases: replaced.map(|one| absolute(&one.path)).collect(),
                config: (options.includes(&Section::Config) && manifest.has_config)
                    .then(|| absolute(&self.settings.config_path)),
                warehouse: warehouse.map(absolute),
                storage: own,
            },
            is_live: options.destination.is_live(),
            scope: options.named_databases(),
            selection: DataSelection::of(options.backup_scope()),
            rename: options.rename.names().clone(),
            databases: match options.includes(&Section::Data) {
                true => databases_in(manifest, options.backup_scope()),
                false => Vec::new(),
            },
            sqlite_databases: match options.includes(&Section::Metadata) {
                true => included.iter().map(|one| one.file.clone()).collect(),
                false => Vec::new(),
            },
            plan,
            plan_error,
            plan_id: None,
            arc_running,
            arc_seen,
            restart_required: options.needs_restart(),
        })
    }

    /// Returns the location of this instance's data, and its name.
    pub(crate) fn own_origin(&self) -> BackupOrigin {
        origin_of(&self.own_instance())
    }
}

/// Returns the location of the data of an instance, and its name.
fn origin_of(instance: &Instance) -> BackupOrigin {
    BackupOrigin {
        backend: instance.settings.storage.kind.clone(),
        location: instance.storage.location(),
        instance: known_instance_id(instance.settings.backup.state_folder()),
    }
}

/// The databases of a backup that may have something in scope.
fn databases_in(manifest: &Manifest, scope: &Scope) -> Vec<String> {
    let names = manifest.databases.iter().map(|one| one.name.clone());
    names
        .filter(|name| scope.contains_data(&format!("{name}/")))
        .collect()
}

/// Returns the age of a backup in seconds, from its start.
pub(crate) fn age_seconds(manifest: &Manifest) -> Option<u64> {
    let created: Timestamp = manifest.created_at.parse().ok()?;
    u64::try_from(Timestamp::now().duration_since(created).as_secs()).ok()
}

impl ArcBackup {
    /// Plans a restore; `None` if that takes longer than `limit`.
    async fn restore_figures(
        &self,
        repository: &Repository,
        loaded: &Loaded,
        id: &BackupId,
        options: &RestoreOptions,
        instance: &Instance,
        limit: Duration,
    ) -> Result<Option<RestorePlan>> {
        let cancel = CancellationToken::new();
        // Dropped with this future: threads that hash live files must end with it.
        let _ended = cancel.clone().drop_guard();
        let plan = self.plan_only(repository, loaded, id, options, instance, cancel);
        match tokio::time::timeout(limit, plan).await {
            Ok(plan) => plan.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn plan_only(
        &self,
        repository: &Repository,
        loaded: &Loaded,
        id: &BackupId,
        options: &RestoreOptions,
        instance: &Instance,
        cancel: CancellationToken,
    ) -> Result<RestorePlan> {
        let scratch = self.scratch.for_reading()?;
        let local = match self.local_inventory(repository, id, loaded).await {
            Ok(local) => local,
            Err(InventoryFault::Other(error)) => return Err(error),
            Err(fault) => return Err(Error::Failed(fault.to_string())),
        };
        let none_damaged = PathSet::default();
        let decided = unfinished_jobs::decide(
            repository,
            id,
            loaded,
            local.inventory.clone(),
            &none_damaged,
            scratch.path(),
        );
        let (inventory, _) = decided.await?;
        check_matches(id, &inventory, options.backup_scope())?;
        let path = scratch.path().join("renamed");
        let (scope, names) = (options.backup_scope(), &options.rename);
        let inventory = renamed(&inventory, scope, names, loaded.has_checksums, &path)?.inventory;
        let untouched = untouched(
            &*instance.storage,
            &instance.settings,
            &loaded.manifest,
            &inventory,
            options,
        );
        let untouched = Arc::new(untouched.await?);
        let preview = format!("preview-{}", crate::random::random_hex::<8>()?);
        let preview = OperationId::parse(&preview).map_err(InvalidOperationId::into_error)?;
        let mut plan = RestorePlan::new(options.extra_files);
        plan.warnings
            .extend(check_has_files(id, options, &inventory)?);
        for section in &sections_to_restore(&inventory, options) {
            let mut sources = instance.sources.iter();
            let Some(source) = sources.find(|one| section_of(&***one) == *section) else {
                continue;
            };
            let staging = Staging {
                operation_id: preview.clone(),
                scratch: scratch.path().to_owned(),
                // A plan stages nothing.
                stage: preview.clone(),
                staged_before: StagedBefore::Nothing,
                is_new: instance.new.is_some(),
                cancel: cancel.clone(),
                activity: Activity::default(),
                extra_files: options.extra_files.into(),
                cold_held: options.cold_held,
                aside: Some((repository.target_sink().clone(), own("before-restore"))),
                earlier: Vec::new(),
                untouched: match section {
                    Section::Data => untouched.clone(),
                    _ => Arc::default(),
                },
                scope: options.scope.clone(),
            };
            let restore = source.restore(staging).await?;
            let entries = section_entries(&inventory, section, &options.scope)?;
            plan.add(section, &restore.plan(entries).await?);
        }
        Ok(plan)
    }
}
