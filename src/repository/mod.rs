//! The backups in a target: list, load, publish, delete, sweep, lock.

mod holder;
mod incomplete;
mod journal;
mod listing;
mod notes;
mod read;
mod state;
mod stored;

use std::sync::Arc;

use arc_backup_core::{
    Activity, Child, Discard, Error as CoreError, ErrorKind, ExpiringLocks, GetOptions, Key,
    ListOptions, Listed, LockGuard, LockOutcome, Purpose, Sink, WriteOptions,
};
use futures::StreamExt;

pub use holder::{Holder, ProcessIdentity};
pub use incomplete::Incomplete;
pub use journal::{Journal, Swept};
pub(crate) use listing::newest_first;
pub use listing::{Damaged, Listing, Summary, Unreadable, UnreadableState};
pub use notes::{LastVerified, Note, Turn};
pub use read::{BackupReader, Loaded};
pub use state::BackupState;
pub(crate) use stored::{StoredLog, StoredReader};

use crate::manifest::BackupId;
use crate::operations::Busy;
use crate::{Error, Result};

/// The tool's own folder at the root of a target.
pub const OWN_FOLDER: &str = ".arc-backup";

/// The backups in one target.
#[derive(Debug, Clone)]
pub struct Repository {
    name: String,
    sink: Arc<dyn Sink>,
    /// The whole target, where `sink` is a part of it.
    target: Option<Arc<dyn Sink>>,
    /// Where steps are noted.
    activity: Activity,
}

impl Repository {
    /// The repository of the target `name` in `sink`.
    #[must_use]
    pub fn new(name: impl Into<String>, sink: Arc<dyn Sink>) -> Self {
        Self {
            name: name.into(),
            sink,
            target: None,
            activity: Activity::default(),
        }
    }

    /// The same, noting its steps there.
    #[must_use]
    pub(crate) fn noting_in(&self, activity: &Activity) -> Self {
        Self {
            activity: activity.clone(),
            ..self.clone()
        }
    }

    /// The target's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The target, as messages name it.
    pub(crate) fn label(&self) -> String {
        format!("target {:?}", self.name)
    }

    /// Where it is kept.
    #[must_use]
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// The target that it is in, or a part of.
    pub(crate) fn target_sink(&self) -> &Arc<dyn Sink> {
        self.target.as_ref().unwrap_or(&self.sink)
    }

    /// Takes the repository's lock. That of a process of this machine that is dead is taken over at once.
    ///
    /// One lock for a target, whichever instances write to it. A lock for each instance would not
    /// be safe: a backup resumes, and a sweep removes, whatever a journal names that no running
    /// operation holds, and by the one lock alone every other journal is known to be of a dead
    /// operation. A deletion or a verification writes notes that others rewrite. So the second of
    /// two instances gets [`Error::Busy`] and has to wait its turn (`--wait`), or has a prefix of
    /// its own.
    ///
    /// # Errors
    /// [`Error::Busy`] names the holder.
    pub async fn lock(&self, holder: &Holder) -> Result<Box<dyn LockGuard>> {
        let (sink, key) = (self.target_sink(), own("lock"));
        // An operation's first request: what goes wrong is mostly the store's, and nothing of the
        // lock.
        let named = |error: CoreError| self.named(error.into());
        let lock_expiry = sink.expiring_locks().map(ExpiringLocks::expiry);
        // A lock that looks old is watched for a while before it is taken over: not that of a
        // process that is known to be dead.
        if lock_expiry.is_some()
            && let Some(other) = sink.lock_holder(&key).await.map_err(named)?
        {
            self.free_of_dead(&other).await?;
        }
        let text = holder.to_text();
        let mut was_freed = false;
        loop {
            match sink.lock(&key, &text).await.map_err(named)? {
                LockOutcome::Held(guard) => return Ok(guard),
                LockOutcome::Busy(other) => {
                    let other_holder = Holder::from_text(&other);
                    if was_freed || !other_holder.is_dead() {
                        return Err(Error::Busy(Box::new(Busy::for_target(
                            other_holder,
                            lock_expiry,
                        ))));
                    }
                    self.free_of_dead(&other).await?;
                    was_freed = true;
                }
            }
        }
    }

    /// Frees the lock of a process of this machine that is dead. `other` is what its lock says.
    async fn free_of_dead(&self, other: &str) -> Result<()> {
        let holder = Holder::from_text(other);
        if holder.is_dead() {
            tracing::info!(%holder, "the holder of the lock is dead");
            if let Some(locks) = self.target_sink().expiring_locks() {
                let freed = locks.free(&own("lock"), other).await;
                freed.map_err(|error| self.named(error.into()))?;
            }
        }
        Ok(())
    }

    /// The same error, as one of this target where it is of a storage.
    pub(crate) fn named(&self, error: Error) -> Error {
        match error {
            Error::Storage(error) => Error::Target {
                target: self.name().to_owned(),
                error,
            },
            other => other,
        }
    }

    /// Writes a small object, whole and durable.
    pub(crate) async fn put(&self, key: &Key, bytes: Vec<u8>) -> Result<()> {
        let options = WriteOptions {
            size_hint: Some(bytes.len() as u64),
            durable: true,
            purpose: Purpose::Control,
            ..WriteOptions::default()
        };
        let mut upload = self.sink.begin(key, options).await?;
        upload.write(bytes.into()).await?;
        upload.commit().await?;
        Ok(())
    }

    /// Reads a small object; `None` when it is absent.
    pub(crate) async fn read_small(
        &self,
        key: &Key,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, arc_backup_core::Error> {
        match self.sink.get(key, GetOptions::default()).await {
            Ok(object) => Ok(Some(object.body.collect(limit, key).await?)),
            Err(error) if error.kind() == arc_backup_core::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who holds the repository's lock.
    pub(crate) async fn lock_holder(&self) -> Result<Option<Holder>> {
        let text = self.sink.lock_holder(&own("lock")).await?;
        Ok(text.map(|text| Holder::from_text(&text)))
    }

    /// Notes that a backup, or the folder of a damaged one, is being deleted.
    pub(crate) async fn begin_deletion(&self, journal: &Journal) -> Result<()> {
        if let Ok(id) = BackupId::parse(&journal.backup_id) {
            self.reopen_journal(&id).await?;
        }
        match self.begin_journal(journal).await {
            // On a full disk the deletion goes without: interrupted, it leaves a folder without a manifest, which the list
            // names as damaged and which can be deleted again.
            Err(Error::Storage(error)) if error.kind() == ErrorKind::NoSpace => {}
            begun => begun?,
        }
        Ok(())
    }

    /// Whether there is anything in `folder`: a store that keeps versions lists a folder, too, in which all was deleted.
    async fn has_anything_in(&self, folder: &Key) -> Result<bool> {
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

    /// Whether there is a folder of that name, or a journal that says that there was.
    pub(crate) async fn has_anything_of(&self, id: &BackupId) -> Result<bool> {
        Ok(self.has_anything_left_of(id).await? || self.journalled().await?.contains(id))
    }

    /// How many files, and bytes, there are of what is no backup: in its folder, and on its way to
    /// become an incomplete copy.
    pub(crate) async fn size_of_leftovers(&self, id: &str) -> Result<(u64, u64)> {
        let id = BackupId::parse(id)?;
        let (mut files, mut bytes) = (0, 0);
        for folder in [folder(&id), own(&format!("incomplete/{id}"))] {
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
        match self.sink.head(&manifest_key(id)).await {
            Ok(Some(_)) => Ok(self.sink.delete(&[manifest_key(id)]).await?),
            Ok(None) => Ok(()),
            // Where the folder is a link or the manifest no file, there is no manifest to delete first.
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything of a backup, the manifest first, and its note. Doing it again goes on.
    pub(crate) async fn remove_backup(&self, id: &BackupId) -> Result<()> {
        let folder = folder(id);
        self.remove_manifest(id).await?;
        self.sink.remove_tree(&folder, &self.activity).await?;
        // An incomplete copy that was not yet told of.
        self.remove_untold(id).await?;
        self.sink.delete(&[notes::note_key(id)]).await?;
        // What a killed process had begun to upload is no object yet, and still takes room.
        let left = self.sink.discard_unfinished(Some(&folder), Discard::Remove);
        left.await?.whole()?;
        Ok(())
    }
}

/// A key in the tool's own folder.
pub(crate) fn own(rest: &str) -> Key {
    Key::parse(&format!("{OWN_FOLDER}/{rest}")).expect("fixed names and ids are valid keys")
}

/// The folder of a backup.
pub(crate) fn folder(id: &BackupId) -> Key {
    Key::parse(id.as_str()).expect("an id is a valid key")
}

/// The manifest of a backup.
pub(crate) fn manifest_key(id: &BackupId) -> Key {
    Key::parse(&format!("{id}/manifest.json")).expect("an id is a valid key")
}

/// The inventory of a backup.
pub(crate) fn inventory_key(id: &BackupId) -> Key {
    Key::parse(&format!("{id}/inventory.jsonl")).expect("an id is a valid key")
}

/// The key of a file of a backup.
pub(crate) fn file_key(id: &BackupId, path: &str) -> Result<Key> {
    Key::parse(&format!("{id}/{path}")).map_err(|e| Error::Failed(e.to_string()))
}
