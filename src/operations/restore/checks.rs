//! The checks before a restore begins, while the request can still be refused with the reason.

use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{Databases, Digest, ErrorKind, ListOptions, Listed, Scope, Section, Sink};
use futures::StreamExt;

use crate::config::{Compared, differences};
use crate::manifest::{BackupId, InventoryFault};
use crate::names::shortened;
use crate::operations::owner::Owner;
use crate::operations::restore::cluster;
use crate::operations::restore::marker::{check_options_cover, state_marker};
use crate::operations::restore::preview::{BackupOrigin, age_seconds};
use crate::operations::selected::check_names;
use crate::operations::{ArcBackup, ExtraFilesPolicy, RestoreOptions};
use crate::repository::{Loaded, Repository, location_of};
use crate::source::ICEBERG;
use crate::{Error, Result, times};

/// The maximum size in bytes of an `arc.toml` that is compared.
const CONFIG_LIMIT: u64 = 16 << 20;

impl ArcBackup {
    /// Checks that a backup may be restored.
    ///
    /// A backup of another instance, or of data in another place, must not replace existing files
    /// unless [`RestoreOptions::into_other_instance`] is set. The state folder identifies the
    /// instance: a machine with a copy of another one's `arc.toml` has its own state folder. The
    /// option is not needed for a backup without a known source (Arc's own), or to complete an
    /// interrupted restore.
    ///
    /// # Errors
    /// Fails like [`find_to_restore`](Self::find_to_restore). [`Error::Invalid`] says why the
    /// restore is refused.
    pub async fn check_restore(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        target: Option<&str>,
    ) -> Result<()> {
        let (repository, loaded, within) = self.find_and_check(id, options, target).await?;
        (self.check_selected(&repository, id, &loaded, within.backup_scope())).await
    }

    /// Finds the backup and checks that it may be restored; returns the target, the backup, and the
    /// options within what the backup is of.
    pub(crate) async fn find_and_check(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        target: Option<&str>,
    ) -> Result<(Repository, Loaded, RestoreOptions)> {
        if options.destination.is_live() {
            cluster::check(&self.settings, options)?;
        }
        // Before the scope is that of the new names.
        check_renames(options)?;
        if options.skip_damaged && options.extra_files == ExtraFilesPolicy::Remove {
            return Err(Error::Invalid(
                "--skip-damaged can't be combined with --extra-files remove: live files may hold the same rows"
                    .to_owned(),
            ));
        }
        let (repository, loaded) = self
            .find_to_restore(id, target, options.allow_incomplete)
            .await?;
        let options = options.within_backup(&loaded.manifest);
        options.rename.check(id, &loaded.manifest)?;
        check_scope(id, &loaded, &options)?;
        check_names(id, &loaded.manifest, options.backup_scope())?;
        let options = self.with_plan(id, options, repository.name())?;
        if !options.destination.is_live() {
            // Nothing live is in the way, nor interrupted.
            let instance = self.instance_for(id, &options, &loaded.manifest)?;
            self.check_empty(id, &instance).await?;
            return Ok((repository, loaded, options));
        }
        // The one beside the data is read when the restore begins: its last answer may be old.
        if let Some(marker) = state_marker(&self.settings) {
            check_options_cover(&marker, &options).map_err(Error::Invalid)?;
        }
        let interrupted = self.restore_in_progress().await;
        // The option is needed again to restore more sections than the interrupted restore did.
        let completes = interrupted.is_some_and(|marker| {
            let begun =
                |section: Section| marker.sections.iter().any(|one| one == section.as_str());
            let has_begun_data =
                begun(Section::Data) && (marker.data_scope()).covers_data_of(&options.scope);
            marker.backup_id == id.as_str()
                && (!options.includes(&Section::Data) || has_begun_data)
                && (!options.includes(&Section::Metadata) || begun(Section::Metadata))
                && (!options.includes(&Section::Config) || begun(Section::Config))
        });
        if completes {
            return Ok((repository, loaded, options));
        }
        self.check_new_names(&options).await?;
        self.check_places(&repository, &loaded, id, &options)
            .await?;
        self.check_instance(id, &loaded, &options).await?;
        Ok((repository, loaded, options))
    }

    /// Refuses to restore data or databases together with an `arc.toml` that names other places for
    /// them. The restore would write to the places in force, but Arc would use those of the
    /// restored `arc.toml`.
    ///
    /// An `arc.toml` that is damaged in the backup is not compared: the restore itself reports it.
    async fn check_places(
        &self,
        repository: &Repository,
        loaded: &Loaded,
        id: &BackupId,
        options: &RestoreOptions,
    ) -> Result<()> {
        if !options.includes(&Section::Config)
            || !(options.includes(&Section::Data) || options.includes(&Section::Metadata))
        {
            return Ok(());
        }
        let Some(text) = self.config_in(repository, loaded, id).await? else {
            return Ok(());
        };
        let ours = &self.settings.values;
        let Ok(theirs) = ours.with_file(&text, "config/arc.toml") else {
            return Ok(());
        };
        let included = &loaded.manifest.databases_included;
        let databases = match (options.includes(&Section::Metadata), included.is_empty()) {
            (false, _) => Vec::new(),
            // A backup that Arc made holds one database.
            (true, true) => vec!["auth.db_path"],
            (true, false) => included.iter().map(|one| one.setting.as_str()).collect(),
        };
        let compared = Compared {
            backends: &self.settings.backends,
            data: options.includes(&Section::Data),
            warehouse: options.includes(&Section::Other(ICEBERG.to_owned()))
                && loaded.manifest.iceberg_warehouse.is_some(),
            databases,
        };
        let elsewhere = differences(ours, &theirs, &compared).map_err(|error| {
            Error::Invalid(format!(
                "config/arc.toml of backup {id}: {error}; restore it by itself (--no-data --no-metadata), \
                 or omit it"
            ))
        })?;
        if elsewhere.is_empty() {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "the arc.toml of backup {id} names other places than the configuration in force: {}. Arc would not \
             use the restored files. Restore in two steps: the configuration with `arc-backup restore {id} \
             --with-config --no-data --no-metadata` (restore_data and restore_metadata = false), then the \
             rest with `arc-backup restore {id}`. Nothing was changed",
            elsewhere.join("; ")
        )))
    }

    /// Reads `arc.toml` from a backup; `None` if it is missing or damaged.
    async fn config_in(
        &self,
        repository: &Repository,
        loaded: &Loaded,
        id: &BackupId,
    ) -> Result<Option<String>> {
        let scratch = self.scratch.for_reading()?;
        let inventory = match repository.inventory(id, loaded, scratch.path()).await {
            Ok(inventory) => inventory,
            Err(InventoryFault::Damaged { .. }) => return Ok(None),
            Err(InventoryFault::Other(error)) => return Err(error),
        };
        for record in inventory.records_of(&Section::Config)? {
            let record = record?;
            if record.entry.size > CONFIG_LIMIT {
                continue;
            }
            let (_, key) = location_of(id, &record)?;
            let bytes = match repository.read_small(&key, CONFIG_LIMIT).await {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Invalid => None,
                Err(error) => return Err(error.into()),
            };
            let is_whole = |bytes: &Vec<u8>| {
                record.entry.size == bytes.len() as u64
                    && (record.entry.sha256).is_none_or(|digest| digest == Digest::of(bytes))
            };
            return Ok(bytes
                .filter(is_whole)
                .and_then(|bytes| String::from_utf8(bytes).ok()));
        }
        Ok(None)
    }

    async fn check_instance(
        &self,
        id: &BackupId,
        loaded: &Loaded,
        options: &RestoreOptions,
    ) -> Result<()> {
        let (manifest, own) = (&loaded.manifest, self.own_origin());
        let source = BackupOrigin::from_manifest(manifest);
        let instance = (source.as_ref()).and_then(|source| source.instance.as_deref());
        let owner = Owner::of(&self.settings);
        let of = match &source {
            Some(source) if source.is_other_than(&own) => source.to_string(),
            // A backup that Arc made names its owner alone.
            _ if owner.is_other(manifest.owner_instance_id.as_deref(), instance) => {
                format!(
                    "owner_instance_id {}",
                    manifest.owner_instance_id.as_deref().unwrap_or_default()
                )
            }
            _ => return Ok(()),
        };
        if options.into_other_instance {
            return Ok(());
        }
        let there = self.files_in_the_way(loaded, options).await?;
        if there.is_empty() {
            return Ok(());
        }
        let age = age_seconds(manifest).map_or_else(String::new, |seconds| {
            format!("{} ago, ", times::long(Duration::from_secs(seconds)))
        });
        Err(Error::Invalid(format!(
            "backup {id} is of another instance: it was made {age}{}, of {of}. This is {own}, with existing \
             files: {}. To replace them with the backup, use --into-other-instance (into_other_instance: true). \
             Nothing was changed",
            manifest.created_at,
            there.join(", "),
        )))
    }

    /// Describes the live data and databases that the restore would replace.
    async fn files_in_the_way(
        &self,
        loaded: &Loaded,
        options: &RestoreOptions,
    ) -> Result<Vec<String>> {
        let mut there = Vec::new();
        if options.includes(&Section::Data) && self.has_live_data(&options.scope).await? {
            there.push(format!("data in {}", self.storage.location()));
        }
        if options.includes(&Section::Other(ICEBERG.to_owned()))
            && loaded.manifest.iceberg_warehouse.is_some()
            && let Some(folder) = self.settings.warehouse_folder()
            && holds_any(&folder)
        {
            there.push(format!("the Iceberg warehouse in `{}`", folder.display()));
        }
        if options.includes(&Section::Metadata) {
            let included = &loaded.manifest.databases_included;
            let databases = self.settings.databases.iter().filter(|database| {
                included.is_empty() || included.iter().any(|one| one.file == database.file)
            });
            let has_bytes = |path: &std::path::Path| {
                std::fs::symlink_metadata(path)
                    .is_ok_and(|meta| meta.is_symlink() || meta.len() > 0)
            };
            there.extend(
                databases
                    .filter(|database| has_bytes(&database.path))
                    .map(|database| format!("{} `{}`", database.setting, database.path.display())),
            );
        }
        Ok(there)
    }

    /// Refuses to restore a database under a name that a live one has, unless that was asked for.
    async fn check_new_names(&self, options: &RestoreOptions) -> Result<()> {
        let renamed = options.rename.names();
        if renamed.is_empty() || options.over_existing {
            return Ok(());
        }
        for name in renamed.values() {
            let only = Databases::Only([name.clone()].into());
            let scope = Scope::of_sections([Section::Data]).of_databases(only);
            if self.has_live_data(&scope).await? {
                return Err(Error::Invalid(format!(
                    "rename: there is a database {name:?}: choose another name, or restore over it with --over-existing \
                     (over_existing: true)"
                )));
            }
        }
        Ok(())
    }

    /// Whether there is any live data in scope, in the storage or in the cold tier.
    async fn has_live_data(&self, scope: &Scope) -> Result<bool> {
        for storage in [Some(&self.storage), self.cold.as_ref()]
            .into_iter()
            .flatten()
        {
            if self.has_data_in(storage, scope).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn has_data_in(&self, storage: &Arc<dyn Sink>, scope: &Scope) -> Result<bool> {
        for prefix in scope.data_prefixes() {
            let mut listing = storage.list(ListOptions {
                prefix,
                skip: self.exclusions.keys.clone(),
                ..ListOptions::default()
            });
            while let Some(item) = listing.next().await {
                if matches!(&item, Err(fault) if scope.ignores(fault)) {
                    continue;
                }
                if let Listed::Object(meta) = item?
                    && scope.contains_data(&meta.key)
                    && !self.exclusions.exclude(&meta.key)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// Whether anything is in the folder; one that can't be read counts as if there were.
fn holds_any(folder: &std::path::Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Refuses what does not go together with new names.
fn check_renames(options: &RestoreOptions) -> Result<()> {
    if options.rename.is_empty() {
        return match options.over_existing {
            true => Err(Error::Invalid(
                "--over-existing (over_existing) goes with --rename (rename) only".to_owned(),
            )),
            false => Ok(()),
        };
    }
    let text = if !options.includes(&Section::Data) {
        "there is nothing to rename without data: leave out --no-data (restore_data)"
    } else if options.includes(&Section::Config) {
        "nothing but these databases is restored: leave out --with-config (restore_config)"
    } else if options.skip_damaged {
        "--skip-damaged (skip_damaged) can't be combined with it"
    } else if options.over_existing && options.backup_scope().is_selective() {
        "a part of a database can't be restored over an existing one: choose another name"
    } else {
        return Ok(());
    };
    Err(Error::Invalid(format!("rename: {text}")))
}

/// Refuses a restore that would restore nothing.
fn check_scope(id: &BackupId, loaded: &Loaded, options: &RestoreOptions) -> Result<()> {
    let is_empty = matches!(options.scope.databases(), Databases::Only(names) if names.is_empty());
    if options.includes_any() && !is_empty {
        return Ok(());
    }
    let data = shortened(&loaded.manifest.scope);
    Err(Error::Invalid(match loaded.manifest.has_config {
        false => {
            format!("there is nothing to restore: backup {id} has only the data of {data}")
        }
        true => format!(
            "there is nothing to restore: backup {id} has the data of {data}, and arc.toml, which is restored \
             with --with-config (restore_config)"
        ),
    }))
}
