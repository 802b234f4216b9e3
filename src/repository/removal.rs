//! Removing a backup, and finding its leftovers.

use arc_backup_core::{Child, Discard, ErrorKind, Key, ListOptions, Listed};
use futures::StreamExt;

use super::layout::{folder, incomplete_folder, manifest_key, note_key, retained_index_key};
use super::{Journal, Repository};
use crate::manifest::BackupId;
use crate::own_folder::OWN_FOLDER;
use crate::{Error, Result};

impl Repository {
    /// Records that a backup, or the folder of a damaged one, is being deleted. `must_be_written`:
    /// files of it have to stay, and only a journal makes a sweep look after them.
    pub(crate) async fn begin_deletion(
        &self,
        journal: &Journal,
        must_be_written: bool,
    ) -> Result<()> {
        if let Ok(id) = BackupId::parse(&journal.backup_id) {
            self.reopen_journal(&id).await?;
        }
        match self.begin_journal(journal).await {
            // On a full disk the deletion goes on without a journal: interrupted, it leaves a
            // folder without a manifest, which the list names as damaged and which can be deleted
            // again.
            Err(Error::Storage(error))
                if error.kind() == ErrorKind::NoSpace && !must_be_written => {}
            begun => begun?,
        }
        Ok(())
    }

    /// Whether there is anything in `folder`: a store that keeps versions also lists a folder whose
    /// objects are all deleted.
    pub(super) async fn has_anything_in(&self, folder: &Key) -> Result<bool> {
        let mut listing = self.sink.list(ListOptions::within(folder));
        Ok(listing.next().await.transpose()?.is_some())
    }

    /// Whether there is a folder of that name, with anything in it.
    pub(crate) async fn has_anything_left_of(&self, id: &BackupId) -> Result<bool> {
        let children = self.sink.list_children(None).await?;
        match children.iter().find(|child| child.name() == id.as_str()) {
            Some(Child::Folder(_)) => self.has_anything_in(&folder(id)).await,
            found => Ok(found.is_some()),
        }
    }

    /// Whether there is a folder of that name, or a journal that says that there was. What other
    /// backups need of a deleted one does not count.
    pub(crate) async fn has_anything_of(&self, id: &BackupId) -> Result<bool> {
        if self.journalled().await?.contains(id) {
            return Ok(true);
        }
        Ok(self.has_anything_left_of(id).await? && !self.is_retained(id).await?)
    }

    /// Whether this program never wrote to the target, and it holds no backup.
    pub(crate) async fn is_unused(&self) -> Result<bool> {
        let children = self.sink.list_children(None).await?;
        let is_ours = |name: &str| name == OWN_FOLDER || BackupId::parse(name).is_ok();
        Ok(!children.iter().any(|child| is_ours(child.name())))
    }

    /// The files, and their bytes, of a backup that was not published: in its folder, and where it
    /// was to become an incomplete copy.
    pub(crate) async fn size_of_leftovers(&self, id: &str) -> Result<(u64, u64)> {
        let id = BackupId::parse(id)?;
        let (mut files, mut bytes) = (0, 0);
        for folder in [folder(&id), incomplete_folder(&id)] {
            let mut listing = self.sink.list(ListOptions::within(&folder));
            while let Some(item) = listing.next().await {
                if let Listed::Object(meta) = item? {
                    files += 1;
                    bytes += meta.size;
                }
            }
        }
        Ok((files, bytes))
    }

    /// Removes the manifest, with which a backup ends.
    pub(crate) async fn remove_manifest(&self, id: &BackupId) -> Result<()> {
        let removed = self.remove_manifest_object(id).await;
        // Its folder may stay, for the files that other backups share.
        if let Some(cache) = &self.list_cache {
            cache.forget(id).await;
        }
        removed
    }

    async fn remove_manifest_object(&self, id: &BackupId) -> Result<()> {
        match self.sink.head(&manifest_key(id)).await {
            Ok(Some(_)) => Ok(self.sink.delete(&[manifest_key(id)]).await?),
            Ok(None) => Ok(()),
            // Where the folder is a link or the manifest is not a file, there is no manifest to
            // delete first.
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything of a backup, the manifest first, and its note. Called again after an
    /// interruption, it removes the rest.
    pub(crate) async fn remove_backup(&self, id: &BackupId) -> Result<()> {
        let folder = folder(id);
        self.remove_manifest(id).await?;
        self.sink.remove_tree(&folder, &self.activity).await?;
        // After the folder: with it, the list does not take what is left for a damaged backup.
        self.remove_others(id, &[note_key(id), retained_index_key(id)])
            .await
    }

    /// Removes what belongs to a backup and is not one of its files: an incomplete copy that was
    /// not yet published, its note, and unfinished uploads.
    pub(crate) async fn remove_beside(&self, id: &BackupId) -> Result<()> {
        self.remove_others(id, &[note_key(id)]).await
    }

    async fn remove_others(&self, id: &BackupId, keys: &[Key]) -> Result<()> {
        self.remove_unpublished_copy(id).await?;
        self.sink.delete(keys).await?;
        // Uploads of a killed process are not objects yet, and still take room.
        let folder = folder(id);
        let left = (self.sink).discard_unfinished(Some(&folder), Discard::Remove);
        left.await?.whole()?;
        Ok(())
    }
}
