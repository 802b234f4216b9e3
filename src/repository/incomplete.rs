//! Incomplete copies, for emergencies: the files of a backup whose source had others that could not
//! be read.
//!
//! They lie under `.arc-backup/incomplete/{backup_id}/`, with `incomplete.json` in place of
//! `manifest.json`, where neither a list nor Arc takes them for backups.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_backup_core::{Child, ErrorKind};

use super::incomplete_view::IncompleteView;
use super::journal::{Journals, without_right};
use super::layout::{
    INCOMPLETE, INCOMPLETE_MANIFEST, folder, incomplete_folder, incomplete_manifest_key, own,
};
use super::{BackupState, Repository, Swept};
use crate::manifest::{BackupId, COMPRESSED_INVENTORY, INVENTORY, Manifest};
use crate::{Error, Result};

/// How many missing files are named in a list.
const MISSING: usize = 100;

/// An incomplete copy, in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Incomplete {
    /// The id of the backup that it would have been.
    pub backup_id: String,
    /// When that began, RFC 3339, UTC.
    pub created_at: String,
    /// The target that holds it.
    pub target: String,
    /// Always `incomplete`.
    pub state: BackupState,
    /// The databases that were asked for, sorted; empty where all were.
    pub scope: Vec<String>,
    /// Parquet files of databases that it holds.
    pub total_files: u64,
    /// Their size in bytes.
    pub total_size_bytes: u64,
    /// All files that it holds, databases and configuration too.
    pub files: Option<u64>,
    /// Their size in bytes.
    pub bytes: Option<u64>,
    /// Files that could not be read, and are not in it; a folder that could not be listed counts as
    /// one, and stands for all that is in it.
    pub missing_files: u64,
    /// The first of them, each with the reason; the path of a folder ends in `/`.
    pub missing: Vec<String>,
    /// How much is missing, in words.
    pub lacks: String,
}

impl Repository {
    /// The incomplete copies as a read-only repository of their own: a restore works on it as on
    /// any.
    #[must_use]
    pub(crate) fn incomplete(&self) -> Self {
        Self {
            name: self.name.clone(),
            sink: Arc::new(IncompleteView::new(self.sink.clone())),
            target: Some(self.sink.clone()),
            activity: self.activity.clone(),
            legs: Vec::new(),
            list_cache: None,
        }
    }

    /// Makes the stored files of the backup `id` an incomplete copy with this manifest.
    pub(crate) async fn keep_incomplete(&self, id: &BackupId, manifest: Vec<u8>) -> Result<()> {
        let to = incomplete_folder(id);
        self.sink
            .move_tree(&folder(id), &to, &self.activity)
            .await?;
        // From here on it exists.
        self.put(&incomplete_manifest_key(id), manifest).await
    }

    /// Lists the incomplete copies, newest first. A damaged one is omitted, with a warning.
    ///
    /// # Errors
    /// When the target can't be listed.
    pub async fn list_incomplete(&self) -> Result<Vec<Incomplete>> {
        let manifests = self.incomplete_manifests().await?;
        Ok((manifests.iter())
            .map(|(_, manifest)| self.incomplete_row(manifest))
            .collect())
    }

    /// The same, with their whole manifests.
    pub(crate) async fn incomplete_manifests(&self) -> Result<Vec<(BackupId, Manifest)>> {
        let view = self.incomplete();
        let mut found = Vec::new();
        for child in view.sink.list_children(None).await? {
            let Ok(id) = BackupId::parse(child.name()) else {
                continue;
            };
            match view.load(&id).await {
                Ok(loaded) => found.push((id, loaded.manifest)),
                // It is being made.
                Err(Error::NotFound(_)) => {}
                Err(Error::Storage(error)) if error.kind() == ErrorKind::Unavailable => {
                    return Err(error.into());
                }
                Err(error) => tracing::warn!(%id, %error, "an incomplete copy can't be read"),
            }
        }
        found.sort_by(|(a, _), (b, _)| b.as_str().cmp(a.as_str()));
        Ok(found)
    }

    fn incomplete_row(&self, manifest: &Manifest) -> Incomplete {
        Incomplete {
            backup_id: manifest.backup_id.clone(),
            created_at: manifest.created_at.clone(),
            target: self.name.clone(),
            state: BackupState::Incomplete,
            scope: manifest.scope.clone(),
            total_files: manifest.total_files,
            total_size_bytes: manifest.total_size_bytes,
            files: manifest.inventory.as_ref().map(|all| all.entries),
            bytes: manifest.inventory.as_ref().map(|all| all.bytes),
            missing_files: manifest.missing_files,
            lacks: manifest.lacks(),
            missing: (manifest.missing.iter().take(MISSING))
                .map(|missing| format!("{}: {}", missing.path, missing.detail))
                .collect(),
        }
    }

    /// Whether there is anything of an incomplete copy of that id.
    pub(crate) async fn has_incomplete(&self, id: &BackupId) -> Result<bool> {
        let children = (self.sink.list_children(Some(&own(INCOMPLETE)))).await?;
        match children.iter().find(|child| child.name() == id.as_str()) {
            Some(Child::Folder(_)) => self.has_anything_in(&incomplete_folder(id)).await,
            found => Ok(found.is_some()),
        }
    }

    /// Whether there is an incomplete copy of that id with a manifest, whatever is in it.
    pub(crate) async fn holds_incomplete(&self, id: &BackupId) -> Result<bool> {
        match self.sink.head(&incomplete_manifest_key(id)).await {
            Ok(meta) => Ok(meta.is_some()),
            // Something that is not a file; or the whole target is not a folder.
            Err(error) if error.kind() == ErrorKind::Invalid => self.has_incomplete(id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an incomplete copy, its manifest first; an absent one is not an error.
    pub(crate) async fn remove_incomplete(&self, id: &BackupId) -> Result<()> {
        self.sink.delete(&[incomplete_manifest_key(id)]).await?;
        Ok((self.sink)
            .remove_tree(&incomplete_folder(id), &self.activity)
            .await?)
    }

    /// Removes the incomplete copies that the backup `made` supersedes, and returns how many.
    pub(crate) async fn remove_incomplete_before(&self, made: &Manifest) -> Result<u64> {
        let mut count = 0;
        for (id, copy) in self.incomplete_manifests().await? {
            if made.supersedes(&copy) {
                self.remove_incomplete(&id)
                    .await
                    .map_err(|error| match error {
                        Error::Storage(error) if error.kind() == ErrorKind::PermissionDenied => {
                            Error::Failed(without_right(&error))
                        }
                        error => error,
                    })?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Finds incomplete copies without a manifest, and parts of journals, that no journal names any
    /// more: their holder lost its lock, and was then killed. Removes them with `apply`.
    pub(crate) async fn sweep_orphans(&self, apply: bool) -> Result<Swept> {
        let Journals {
            open,
            ended,
            with_log,
        } = self.journals().await?;
        let mut swept = Swept::default();
        let mut found = BTreeSet::new();
        for child in self.sink.list_children(Some(&own(INCOMPLETE))).await? {
            let Ok(id) = BackupId::parse(child.name()) else {
                continue;
            };
            let within = incomplete_folder(&id);
            let names = match self.sink.list_children(Some(&within)).await {
                Ok(names) => names,
                Err(error) => {
                    swept.add_fault(id.as_str(), &error.into());
                    continue;
                }
            };
            // With its inventory it may be a copy that has lost only its manifest.
            let is_copy = (names.iter()).any(|child| {
                [INCOMPLETE_MANIFEST, INVENTORY, COMPRESSED_INVENTORY].contains(&child.name())
            });
            if open.contains(&id) || is_copy || !self.has_anything_in(&within).await? {
                continue;
            }
            if apply && let Err(error) = self.remove_incomplete(&id).await {
                swept.left.push(id.to_string());
                swept.add_fault(id.as_str(), &error);
            }
            found.insert(id.to_string());
        }
        for id in with_log {
            let log = own(&format!("journal/{id}"));
            if open.contains(&id) || ended.contains(&id) || !self.has_anything_in(&log).await? {
                continue;
            }
            if apply && let Err(error) = self.sink.remove_tree(&log, &self.activity).await {
                swept.left.push(id.to_string());
                swept.add_fault(id.as_str(), &error.into());
            }
            found.insert(id.to_string());
        }
        swept.unfinished = found.into_iter().collect();
        Ok(swept)
    }

    /// Removes the files of an incomplete copy whose manifest was not written.
    pub(super) async fn remove_unpublished_copy(&self, id: &BackupId) -> Result<()> {
        if !self.has_incomplete(id).await? {
            return Ok(());
        }
        if (self.sink.head(&incomplete_manifest_key(id)).await?).is_none() {
            self.remove_incomplete(id).await?;
        }
        Ok(())
    }
}
