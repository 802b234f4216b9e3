//! Sinks: places that keep bytes under keys.

mod lock;
mod optional;
mod provided;
mod upload;

use std::fmt;

use async_trait::async_trait;

pub use lock::{LockGuard, LockOutcome, UNCHECKED_LOCK_LIVES};
pub use optional::{
    AsideStore, DeferredDurability, ExpiringLocks, Folders, HardLinks, ServerCopy, SnapshotFolder,
    SnapshotStore, StagingArea, UnfinishedUploads,
};
pub use upload::{Durability, Upload};

use crate::{
    Child, GetOptions, Key, ListOptions, ListStream, Meta, Object, Result, SinkProperties,
    WriteOptions,
};

/// A place that keeps bytes under [`Key`]s and gives them back: a folder, a bucket, a container.
///
/// Ten methods are required: [`location`](Sink::location), [`properties`](Sink::properties),
/// [`begin`](Sink::begin), [`get`](Sink::get), [`head`](Sink::head), [`list`](Sink::list),
/// [`list_children`](Sink::list_children), [`delete`](Sink::delete), [`lock`](Sink::lock) and
/// [`lock_holder`](Sink::lock_holder). The others have defaults that are right for a store whose
/// writes are atomic, durable when they are acknowledged, and leave nothing where they fail:
/// [`settle`](Sink::settle) returns at once, and each optional object is absent. What a sink can do
/// beyond the minimum is an object that it gives ([`staging`](Sink::staging) and those behind it);
/// what others have to know of it is in its [`SinkProperties`]. Nobody asks for its name.
///
/// All methods may be called at once from many tasks. The `conformance` suite of this crate states
/// each guarantee as a test.
///
/// A wrapper around another sink passes on every method and every optional object, and is best
/// marked with `#[deny(clippy::missing_trait_methods)]`: what it forgets has its default, and the
/// sink inside silently loses durability or its locks' expiry.
#[async_trait]
pub trait Sink: Send + Sync + fmt::Debug + 'static {
    /// Where this is, for people: a path or a URL, never with credentials. Asks nobody.
    fn location(&self) -> String;

    /// What others have to know of this sink. Asks nobody.
    fn properties(&self) -> SinkProperties;

    /// Begins to write the object `key`. Nothing is visible at `key` before [`Upload::commit`],
    /// which is atomic: readers see all of the new object, or what was there before.
    ///
    /// Folders above `key` come into being by themselves. Fails when something that can't be
    /// replaced is in the way (on local disk, a folder at `key` or a file above it), naming both.
    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>>;

    /// Opens the object `key` for reading.
    ///
    /// Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it is absent, with
    /// [`ErrorKind::Changed`](crate::ErrorKind::Changed) when [`GetOptions::if_match`] names
    /// another entity tag than the object has. A range that reaches past the end is cut there; one
    /// that starts past the end gives an empty body.
    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object>;

    /// What is known of the object `key`; `None` when it is absent.
    async fn head(&self, key: &Key) -> Result<Option<Meta>>;

    /// Lists the objects in byte order of their keys, as a stream that holds a bounded part of the
    /// listing.
    ///
    /// A prefix under which there is nothing, or a root that does not exist yet, gives an empty
    /// stream. What is there and is not an object (see [`OtherKind`](crate::OtherKind)) is listed
    /// too, never dropped in silence and never followed. Uploads under way are not listed.
    ///
    /// An error ends the listing, except one that [is of one place](crate::Error::is_of_one_place):
    /// what is there can't be looked at, and everything else is listed. A caller that takes any
    /// error for the end is right too.
    fn list(&self, options: ListOptions) -> ListStream;

    /// Lists one level: the objects and folders right in `folder` (`None`: the root), in byte order
    /// of names, without walking what lies below. An absent folder is an empty list.
    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>>;

    /// Deletes the objects. An absent key is not an error, so that deleting again is harmless.
    /// Folders that become empty vanish with their last object.
    async fn delete(&self, keys: &[Key]) -> Result<()>;

    /// Takes the lock `key`, without waiting for a holder; finding out whether one lives may take a
    /// while. `holder` is a text that says who holds it, given to whoever finds it taken.
    ///
    /// At most one holder at a time, whatever the process or host. The lock of a process that died
    /// becomes free: at once, or, in a sink with [`ExpiringLocks`], when it expires.
    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome>;

    /// Who holds the lock `key`, by its own text; `None` when nobody does. Changes nothing, needs
    /// no right to write.
    async fn lock_holder(&self, key: &Key) -> Result<Option<String>>;

    /// Returns when what this sink does in the background has ended: uploads and locks that were
    /// dropped are aborted and given back there. May be called again.
    ///
    /// The default does nothing in the background.
    async fn settle(&self) {}

    /// Writes objects beside their place, to be made visible later. `None`: an object that is
    /// committed is visible at once.
    fn staging(&self) -> Option<&dyn StagingArea> {
        None
    }

    /// Keeps what an operation replaces, beside the sink's root. `None`: there is no such place,
    /// and the caller copies it elsewhere.
    fn aside(&self) -> Option<&dyn AsideStore> {
        None
    }

    /// Holds snapshots of objects without copying them. `None`: an object is read as it is when it
    /// is read.
    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        None
    }

    /// Copies objects within the store. `None`: bytes are read and written.
    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        None
    }

    /// Gives objects second names. `None`: an object has one name.
    fn hard_links(&self) -> Option<&dyn HardLinks> {
        None
    }

    /// Handles folders as such. `None`: a folder is what the keys of some objects begin with.
    fn folders(&self) -> Option<&dyn Folders> {
        None
    }

    /// Finds unfinished uploads of crashed processes. `None`: they leave nothing, or the store
    /// removes it by itself.
    fn unfinished_uploads(&self) -> Option<&dyn UnfinishedUploads> {
        None
    }

    /// Makes many commits durable at once. `None`: every commit is durable by itself.
    fn deferred_durability(&self) -> Option<&dyn DeferredDurability> {
        None
    }

    /// Locks that expire. `None`: a lock ends with its holder's process.
    fn expiring_locks(&self) -> Option<&dyn ExpiringLocks> {
        None
    }
}
