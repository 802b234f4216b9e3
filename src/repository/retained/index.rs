//! `.arc-backup/retained/{backup_id}`: which folders are of deleted backups, so that a list of the
//! backups needs no request for each. Where the two differ, the folder's own list is right.

use std::collections::BTreeSet;

use arc_backup_core::{Child, ErrorKind};

use super::list::RetainedList;
use crate::Result;
use crate::manifest::BackupId;
use crate::repository::Repository;
use crate::repository::layout::{RETAINED, own, retained_index_key, retained_key};

/// The largest entry that is read, in bytes.
const ENTRY_LIMIT: u64 = 16 << 20;

impl Repository {
    /// The deleted backups of which files are retained, by one request. While a deletion is under
    /// way, or was killed, its backup may be among them and have its manifest.
    pub(crate) async fn retained_folders(&self) -> Result<BTreeSet<BackupId>> {
        let children = self.sink.list_children(Some(&own(RETAINED))).await?;
        Ok((children.iter())
            .filter(|child| matches!(child, Child::Object(_)))
            .filter_map(|child| BackupId::parse(child.name()).ok())
            .collect())
    }

    /// Whether the folder has a list of retained files. Without a manifest it is of a deleted
    /// backup then.
    pub(crate) async fn is_retained(&self, id: &BackupId) -> Result<bool> {
        match self.sink.head(&retained_key(id)).await {
            Ok(meta) => Ok(meta.is_some()),
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// How many files of the deleted backup `id` others still use; `None` where it is none.
    pub(crate) async fn retained_count(&self, id: &BackupId) -> Result<Option<u64>> {
        let entry = self
            .read_small(&retained_index_key(id), ENTRY_LIMIT)
            .await?;
        Ok(entry.map(|entry| {
            let entry: serde_json::Value = serde_json::from_slice(&entry).unwrap_or_default();
            entry["files"].as_u64().unwrap_or_default()
        }))
    }

    /// Writes the list and then its entry in the index.
    pub(super) async fn put_retained(&self, id: &BackupId, list: &RetainedList) -> Result<()> {
        self.put_retained_list(list).await?;
        self.put_retained_entry(id, list).await
    }

    pub(super) async fn put_retained_entry(
        &self,
        id: &BackupId,
        list: &RetainedList,
    ) -> Result<()> {
        self.put(&retained_index_key(id), list.summary()).await
    }

    /// Removes the entry of a backup that is about to be there again, where its folder has no list:
    /// a deletion that was killed left it, and by it a list of the backups would omit this one.
    pub(crate) async fn forget_stale_entry(&self, id: &BackupId) -> Result<()> {
        if self.retained_count(id).await?.is_some() && !self.is_retained(id).await? {
            self.sink.delete(&[retained_index_key(id)]).await?;
        }
        Ok(())
    }

    /// Removes list and entry of a backup that has its manifest: its deletion did not begin, or
    /// nobody needs files of it any more.
    pub(crate) async fn forget_retained(&self, id: &BackupId) -> Result<()> {
        // In this order: by the entry, a list of the backups omits it.
        self.sink.delete(&[retained_index_key(id)]).await?;
        Ok(self.sink.delete(&[retained_key(id)]).await?)
    }
}
