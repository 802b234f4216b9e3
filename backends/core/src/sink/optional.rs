//! What only some sinks can do: objects that a [`Sink`](crate::Sink) gives where it has them.
//!
//! That a sink has the object is the capability; there is nothing else to ask. A method fails with
//! [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) only where that is found out by
//! trying: by the rights to a store, or by the file system that a folder lies on.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Activity, Address, AsideArea, AsideMode, AsideObject, Discard, Discarded, Durability,
    GetOptions, Key, Meta, Object, OperationId, Result, Upload, WriteOptions,
};

/// Writes objects beside their place, to be made visible later.
///
/// All methods are required. What is staged is not listed, and survives a crash: the next operation
/// that knows the stage's id finds it.
#[async_trait]
pub trait StagingArea: Send + Sync {
    /// Begins to write what will be promoted to `key`; replaces what was staged for it under the
    /// same id. Fails as [`Sink::begin`](crate::Sink::begin) does where `key` is not replaceable.
    /// [`WriteOptions::create_new`] has no meaning here.
    async fn begin(
        &self,
        key: &Key,
        stage: &OperationId,
        options: WriteOptions,
    ) -> Result<Box<dyn Upload>>;

    /// Opens what was staged for `key` and never promoted, complete or partial; `None` where there
    /// is nothing. An interrupted restore is resumed by it.
    async fn open(&self, key: &Key, stage: &OperationId) -> Result<Option<Object>>;

    /// Makes the object that was staged for `key` visible. Atomic; replaces what is there. Fails
    /// with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where nothing is staged, and so
    /// when it is called again.
    async fn promote(&self, key: &Key, stage: &OperationId) -> Result<()>;

    /// Removes what was staged for `key`; absent is not an error, so that calling it again is
    /// harmless.
    async fn discard(&self, key: &Key, stage: &OperationId) -> Result<()>;
}

/// Keeps what an operation replaces or removes, in a place beside the sink's root and outside of
/// what it lists: a folder for each operation.
///
/// All methods are required.
#[async_trait]
pub trait AsideStore: Send + Sync {
    /// Makes sure, before anything changes, that objects of `bytes` in all can be set aside for the
    /// operation: that the place can be written, and has room where setting aside needs any. May be
    /// called again. [`remove`](AsideStore::remove) takes back what this made.
    async fn prepare(&self, operation: &OperationId, bytes: u64) -> Result<()>;

    /// Sets the object `key` aside: as a second name or copy ([`AsideMode::Keep`]), or by moving it
    /// ([`AsideMode::Move`]). Does nothing when the same object is there already, and keeps both
    /// where another is. Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when `key`
    /// is absent and was not moved there before.
    async fn set_aside(&self, key: &Key, operation: &OperationId, mode: AsideMode) -> Result<()>;

    /// What the operation set aside at `key`, and whether that is live again; `None` where it set
    /// nothing aside there. Of several versions, it is the first.
    async fn look(&self, key: &Key, operation: &OperationId) -> Result<Option<AsideObject>>;

    /// Puts what the operation set aside at `key` in its place, where it replaces what is there.
    /// Atomic. It stays set aside too, so that this may be called again. Fails with
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where nothing is set aside.
    async fn put_back(&self, key: &Key, operation: &OperationId) -> Result<()>;

    /// Removes all that the operation has set aside; nothing is not an error. It may take long:
    /// each step is noted in `activity`.
    async fn remove(&self, operation: &OperationId, activity: &Activity) -> Result<()>;

    /// What is set aside now, by operation; empty where there is nothing.
    async fn list(&self) -> Result<Vec<AsideArea>>;

    /// Where the objects of the operation are, for people. Asks nobody.
    fn location(&self, operation: &OperationId) -> String;
}

/// Holds snapshots of objects without copying them: by hard links, in a folder for each operation
/// beside the sink's root and outside of what it lists.
///
/// All methods are required.
#[async_trait]
pub trait SnapshotStore: Send + Sync {
    /// Makes the folder for the snapshot of this operation, which must not exist.
    ///
    /// Fails with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the file system,
    /// or the rights to it, do not let it.
    async fn create(&self, operation: &OperationId) -> Result<Box<dyn SnapshotFolder>>;

    /// Removes, or counts, the snapshots of crashed operations. Those in use stay, and don't count.
    async fn discard_leftovers(&self, discard: Discard, activity: &Activity) -> Result<Discarded>;
}

/// A snapshot of some objects: what is in it keeps its bytes, whatever becomes of the object.
/// Dropping it removes it, as far as a drop can.
#[async_trait]
pub trait SnapshotFolder: Send + Sync {
    /// Adds the objects, and returns what each is that was added, in the same order; `None` where
    /// no object is at a key. One that is in the snapshot already is replaced by what it is now.
    ///
    /// Fails with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the file system,
    /// or a file's rights, do not let it.
    async fn add(&self, keys: &[Key]) -> Result<Vec<Option<Meta>>>;

    /// Opens what was added at `key`; as [`Sink::get`](crate::Sink::get).
    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object>;

    /// Removes the snapshot. It may take long: each step is noted in `activity`.
    async fn release(self: Box<Self>, activity: &Activity) -> Result<()>;
}

/// Copies objects within the store, also from another sink of it: their bytes do not pass through
/// this process.
///
/// All methods are required.
#[async_trait]
pub trait ServerCopy: Send + Sync {
    /// Where the object `key` lies in its store. Asks nobody.
    fn address(&self, key: &Key) -> Address;

    /// Copies the object at `from`, of this or another sink, to `key`. Atomic; replaces what is
    /// there.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when nothing is at `from`,
    /// and with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when it is in another
    /// store, or the rights do not let it: the caller then reads and writes.
    async fn copy_from(&self, from: &Address, key: &Key) -> Result<Meta>;
}

/// Gives objects second names.
#[async_trait]
pub trait HardLinks: Send + Sync {
    /// Makes `to` a second name of the object `from`. Atomic; replaces what is there, and may be
    /// called again.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when nothing is at `from`,
    /// and with [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the file system
    /// does not let it: the caller then reads and writes.
    async fn link(&self, from: &Key, to: &Key) -> Result<Meta>;

    /// Makes each second key a second name of the object at the first, as
    /// [`link`](HardLinks::link) does, and returns what became of each, in the same order. Keys in
    /// byte order are the fastest.
    ///
    /// The default links one after the other.
    async fn link_all(&self, links: &[(Key, Key)]) -> Vec<Result<Meta>> {
        let mut linked = Vec::with_capacity(links.len());
        for (from, to) in links {
            linked.push(self.link(from, to).await);
        }
        linked
    }

    /// How many names the object at each key has, in the same order: its bytes go with the last of
    /// them. `None` where that is not known, or nothing is at the key.
    ///
    /// The default knows none.
    async fn count_names(&self, keys: &[Key]) -> Result<Vec<Option<u64>>> {
        Ok(vec![None; keys.len()])
    }
}

/// Handles folders as such, where they are more than the beginnings of keys.
///
/// All methods are required.
#[async_trait]
pub trait Folders: Send + Sync {
    /// Removes everything in `folder`, whatever it is: objects, files of unfinished uploads, links
    /// (never what they point to). An absent folder is not an error. It may take long: each step is
    /// noted in `activity`.
    async fn remove(&self, folder: &Key, activity: &Activity) -> Result<()>;

    /// Renames the folder `from` to `to`, where nothing may be. An absent folder is not an error,
    /// so that calling it again is harmless.
    async fn rename(&self, from: &Key, to: &Key) -> Result<()>;
}

/// Finds unfinished uploads of crashed processes.
#[async_trait]
pub trait UnfinishedUploads: Send + Sync {
    /// Removes, or counts, unfinished uploads below `folder`, and of an object of that very name
    /// (`None`: everywhere). Only for a caller that knows that no upload is under way there. May be
    /// called again.
    ///
    /// Where a store finds unfinished uploads by exact names only, those of one object are found by
    /// its own name for certain.
    async fn discard(&self, folder: Option<&Key>, discard: Discard) -> Result<Discarded>;
}

/// Makes many commits durable at once, in a sink whose commit is not durable by itself (unless
/// [`WriteOptions::durable`] asks for it).
#[async_trait]
pub trait DeferredDurability: Send + Sync {
    /// Opens the object by which all that is committed after this call can be made durable. To be
    /// called before the first write.
    async fn open(&self) -> Result<Box<dyn Durability>>;
}

/// Locks that outlive their holder's process, and expire.
///
/// All methods are required.
#[async_trait]
pub trait ExpiringLocks: Send + Sync {
    /// How long after the last sign of life of its holder a lock is free at the latest.
    fn expiry(&self) -> Duration;

    /// Frees the lock `key`, if it is still held by the holder that gave exactly this text; else
    /// does nothing. Only for a caller that knows that this holder is dead, and so need not wait
    /// until the lock expires.
    async fn free(&self, key: &Key, holder: &str) -> Result<()>;
}
