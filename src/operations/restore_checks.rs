//! What a restore is refused for before it begins, while a request can still be answered with why.

use arc_backup_core::{ListOptions, Listed};
use futures::StreamExt;

use super::preview::{BackupOrigin, age_in_words, age_seconds};
use super::{ArcBackup, RestoreOptions};
use crate::manifest::BackupId;
use crate::repository::{Loaded, Repository};
use crate::{Error, Result};

impl ArcBackup {
    /// The backup that a restore would take, where nothing is against it.
    ///
    /// A backup of another instance, or of data in another place, is not restored over files that are
    /// there already unless that is asked for ([`RestoreOptions::into_other_instance`]). Which instance
    /// this is says the state folder: a machine with a copy of another one's `arc.toml` has a state
    /// folder of its own. A backup whose source is not known (Arc's own), and a restore that completes
    /// an interrupted one, need no such word.
    ///
    /// # Errors
    /// As [`find_to_restore`](Self::find_to_restore); [`Error::Invalid`] says what is against it.
    pub async fn check_restore(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        target: Option<&str>,
    ) -> Result<()> {
        self.find_and_check(id, options, target).await.map(drop)
    }

    pub(super) async fn find_and_check(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        target: Option<&str>,
    ) -> Result<(Repository, Loaded)> {
        let (repository, loaded) = self
            .find_to_restore(id, target, options.allow_incomplete)
            .await?;
        let interrupted = self.restore_in_progress().await;
        if interrupted.is_some_and(|marker| marker.backup_id == id.as_str()) {
            return Ok((repository, loaded));
        }
        self.check_instance(id, &loaded, options).await?;
        Ok((repository, loaded))
    }

    async fn check_instance(
        &self,
        id: &BackupId,
        loaded: &Loaded,
        options: &RestoreOptions,
    ) -> Result<()> {
        let own = self.own_origin();
        let Some(source) = BackupOrigin::of(&loaded.manifest) else {
            return Ok(());
        };
        if options.into_other_instance || !source.is_other_than(&own) {
            return Ok(());
        }
        let there = self.files_in_the_way(loaded, options).await?;
        if there.is_empty() {
            return Ok(());
        }
        let manifest = &loaded.manifest;
        let age = age_seconds(manifest).map_or_else(String::new, |seconds| {
            format!("{} ago, ", age_in_words(seconds))
        });
        Err(Error::Invalid(format!(
            "backup {id} is of another instance: it was made {age}{}, of {source}. This is {own}, where files are \
             already there: {}. To replace these with the backup, say so with --into-other-instance \
             (into_other_instance: true). Nothing was changed",
            manifest.created_at,
            there.join(", "),
        )))
    }

    /// What is live and would be replaced: the data, and databases.
    async fn files_in_the_way(
        &self,
        loaded: &Loaded,
        options: &RestoreOptions,
    ) -> Result<Vec<String>> {
        let mut there = Vec::new();
        if options.data && self.has_live_data().await? {
            there.push(format!("data in {}", self.storage.location()));
        }
        if options.metadata {
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

    /// Whether there is any file of the data.
    async fn has_live_data(&self) -> Result<bool> {
        let mut listing = self.storage.list(ListOptions {
            skip: self.exclusions.keys.clone(),
            ..ListOptions::default()
        });
        while let Some(item) = listing.next().await {
            if let Listed::Object(meta) = item?
                && !self.exclusions.exclude(&meta.key)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
