//! Sinks: places that keep bytes under keys.

use std::fmt;
use std::fs::File;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, future};

use crate::copy::copy_within;
use crate::in_order::InOrder;
use crate::{
    Activity, Address, AsideArea, AsideMode, Capabilities, Child, Discard, Discarded, Error,
    ErrorKind, GetOptions, Key, ListOptions, ListStream, Listed, Meta, Object, Result,
    WriteOptions,
};

/// A place that keeps bytes under [`Key`]s and gives them back: a folder, a bucket, a container.
///
/// Required are [`location`](Sink::location), [`capabilities`](Sink::capabilities), [`begin`](Sink::begin),
/// [`get`](Sink::get), [`head`](Sink::head), [`list`](Sink::list), [`list_children`](Sink::list_children),
/// [`delete`](Sink::delete) and [`lock`](Sink::lock). The others have defaults that are right for a store
/// whose writes are atomic and durable when they are acknowledged; what a sink can do beyond that it declares
/// in its [`Capabilities`], and nobody asks for its name.
///
/// All methods may be called at once from many tasks. The `conformance` suite of this crate states each
/// guarantee as a test.
#[async_trait]
pub trait Sink: Send + Sync + fmt::Debug + 'static {
    /// Returns when what this sink does in the background has ended: uploads and locks that were dropped are aborted and given
    /// back there.
    ///
    /// The default does nothing in the background.
    async fn settle(&self) {}

    /// Where this is, for people: a path or a URL, never with credentials.
    fn location(&self) -> String;

    /// What this sink can do beyond the minimum.
    fn capabilities(&self) -> Capabilities;

    /// Begins to write the object `key`. Nothing is visible at `key` before [`Upload::commit`], which is
    /// atomic: readers see all of the new object, or what was there before.
    ///
    /// Folders above `key` come into being by themselves. Fails when something that can't be replaced is in
    /// the way (on local disk, a folder at `key` or a file above it), naming both.
    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>>;

    /// Opens the object `key` for reading.
    ///
    /// Fails with [`ErrorKind::NotFound`] when it is absent, with [`ErrorKind::Changed`] when
    /// [`GetOptions::if_match`] names another entity tag than the object has. A range that reaches past the
    /// end is cut there; one that starts past the end gives an empty body.
    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object>;

    /// What is known of the object `key`; `None` when it is absent.
    async fn head(&self, key: &Key) -> Result<Option<Meta>>;

    /// Lists the objects in byte order of their keys, as a stream that holds a bounded part of the listing.
    ///
    /// A prefix under which there is nothing, or a root that does not exist yet, gives an empty stream. What is
    /// there and is no object (see [`OtherKind`](crate::OtherKind)) is listed too, never dropped in silence and never followed.
    /// Uploads under way are not listed.
    ///
    /// An error ends the listing, but one that [is of one place](crate::Error::is_of_one_place): what is there can't be looked at,
    /// and everything else is listed. Who takes any error for the end is right too.
    fn list(&self, options: ListOptions) -> ListStream;

    /// Lists one level: the objects and folders right in `folder` (`None`: the root), in byte order of names,
    /// without walking what lies below. An absent folder is an empty list.
    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>>;

    /// Deletes the objects. An absent key is no error, so that deleting again is harmless. Folders that are
    /// left empty vanish with their last object.
    async fn delete(&self, keys: &[Key]) -> Result<()>;

    /// Whether the place is known to keep what is deleted or overwritten, as earlier versions that take room and are not listed.
    /// Asks nobody: it is known from the answers so far, and so at the latest after a write and a deletion.
    ///
    /// The default keeps nothing.
    fn keeps_deleted(&self) -> bool {
        false
    }

    /// The proxy that its requests go through, for people: a URL, never with credentials. Asks nobody.
    ///
    /// The default goes through none.
    fn proxy(&self) -> Option<String> {
        None
    }

    /// Takes the lock `key`, without waiting for a holder; finding out whether one lives may take a while. `holder` is a text that says who holds it, given to whoever finds it taken.
    ///
    /// At most one holder at a time, whatever the process or host. The lock of a process that died becomes free.
    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome>;

    /// Frees the lock `key`, if it is still held by who gave exactly this text. Only for a caller that knows that this holder is
    /// dead, and so need not wait until its lock ends by itself.
    ///
    /// The default does nothing, which is right where a lock ends with its holder's process.
    async fn free_lock(&self, key: &Key, holder: &str) -> Result<()> {
        let _ = (key, holder);
        Ok(())
    }

    /// Who holds the lock `key`, by its own text; `None` when nobody does. Changes nothing, needs no right to write.
    async fn lock_holder(&self, key: &Key) -> Result<Option<String>>;

    /// Removes everything in `folder`, whatever it is: objects, leavings of uploads, links (never what they
    /// point to). An absent folder is no error. It may take long: each step is noted in `activity`.
    ///
    /// The default lists and deletes.
    async fn remove_tree(&self, folder: &Key, activity: &Activity) -> Result<()> {
        let mut listing = self.list(ListOptions::within(folder));
        let mut batch = Vec::new();
        while let Some(item) = listing.next().await {
            if let Listed::Object(meta) = item? {
                batch.push(meta.key);
            }
            activity.note();
            if batch.len() == 1000 {
                self.delete(&batch).await?;
                batch.clear();
            }
        }
        self.delete(&batch).await
    }

    /// Removes, or counts, what uploads that never ended have left below `folder`, and of an object of that very name (`None`:
    /// everywhere). Only for a caller that knows that no upload is under way there.
    ///
    /// On a store that lists leavings by exact names only, those of one object are found by its own name for certain.
    ///
    /// The default has none.
    async fn discard_unfinished(
        &self,
        folder: Option<&Key>,
        discard: Discard,
    ) -> Result<Discarded> {
        let _ = (folder, discard);
        Ok(Discarded::default())
    }

    /// Opens a mark before the first write, by which all that is committed after it can be made durable at once.
    ///
    /// The default is for stores whose commit is durable by itself.
    async fn durability(&self) -> Result<Box<dyn Durability>> {
        Ok(Box::new(DurableByItself))
    }

    /// How many bytes can still be written; `None` where that has no meaning.
    async fn free_space(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Where the object `key` lies in its store, for [`copy_from`](Sink::copy_from); `None` where copies are made
    /// by reading and writing only. Asks nobody.
    fn address(&self, key: &Key) -> Option<Address> {
        let _ = key;
        None
    }

    /// Copies the object at `from`, of this or another sink, to `key`, within the store: its bytes do not pass
    /// through here. Atomic; replaces what is there. Needs [`Capabilities::server_copy`] and an address of the same
    /// store. Fails with [`ErrorKind::NotFound`] when nothing is at `from`, and with [`ErrorKind::Unsupported`] when
    /// the store or its rights do not let it: the caller then reads and writes.
    async fn copy_from(&self, from: &Address, key: &Key) -> Result<Meta> {
        let _ = from;
        Err(unsupported("copy to", key))
    }

    /// Makes `to` an object with the bytes of `from`, both of this sink, which do not pass through here: a hard link, a
    /// copy within the store. Atomic; replaces what is there. Fails with [`ErrorKind::NotFound`] when nothing is at
    /// `from`, and with [`ErrorKind::Unsupported`] where it can't be done: the caller then reads and writes.
    ///
    /// The default is [`copy_from`](Sink::copy_from).
    async fn duplicate(&self, from: &Key, to: &Key) -> Result<Meta> {
        match self.address(from) {
            Some(address) if self.capabilities().server_copy => self.copy_from(&address, to).await,
            _ => Err(unsupported("duplicate", from)),
        }
    }

    /// Moves every object in the folder `from` to the same place in the folder `to`, where nothing is. When it fails
    /// half-way each object is at one place at least, and calling it again goes on. An absent folder is no error. It may take
    /// long: each step is noted in `activity`.
    ///
    /// The default copies, within the store where that can be done and as many at once as it takes, and deletes what was
    /// copied.
    async fn move_tree(&self, from: &Key, to: &Key, activity: &Activity) -> Result<()> {
        let copies = self.list(ListOptions::within(from)).filter_map(|item| {
            future::ready(match item {
                Ok(Listed::Object(meta)) => Some(Ok(meta)),
                Ok(Listed::Other { .. }) => None,
                Err(error) => Some(Err(error)),
            })
        });
        let copies = copies.map(|meta| async move { copy_within(self, meta?, from, to).await });
        let at_once = self.capabilities().concurrency.unwrap_or(1);
        let mut copied = InOrder::new(copies, at_once);
        let mut batch = Vec::new();
        while let Some(key) = copied.next().await {
            batch.push(key?);
            activity.note();
            if batch.len() == 1000 {
                copied.beside(self.delete(&batch)).await?;
                batch.clear();
            }
        }
        self.delete(&batch).await
    }

    /// Opens a place for second names of objects, beside the sink's root and outside of what it lists, for the
    /// operation `area`: what is pinned there keeps its bytes, whatever becomes of the object.
    ///
    /// The default, and a file system that does not let it, fails with [`ErrorKind::Unsupported`].
    async fn pins(&self, area: &str) -> Result<Box<dyn Pins>> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "pin",
            area,
            "this sink pins nothing",
        ))
    }

    /// Removes, or counts, the places for second names that crashed operations have left. Those in use stay, and don't count.
    ///
    /// The default has none.
    async fn discard_pins(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        let _ = (discard, activity);
        Ok(Discarded::default())
    }

    /// Makes the object visible that was written to `key` with [`WriteOptions::stage`] `stage`. Atomic;
    /// replaces what is there. Needs [`Capabilities::staging`].
    async fn promote(&self, key: &Key, stage: &str) -> Result<()> {
        let _ = stage;
        Err(unsupported("promote", key))
    }

    /// Opens what was staged for `key` and never promoted, whole or half; `None` where there is
    /// nothing. A sink that stages should have it: what an interrupted restore has staged is used
    /// by the next one then.
    ///
    /// The default finds nothing.
    async fn staged(&self, key: &Key, stage: &str) -> Result<Option<Object>> {
        let _ = (key, stage);
        Ok(None)
    }

    /// Removes what was staged for `key`; absent is no error. Needs [`Capabilities::staging`].
    async fn discard_staged(&self, key: &Key, stage: &str) -> Result<()> {
        let _ = stage;
        Err(unsupported("discard", key))
    }

    /// Keeps the object `key` in the place for things set aside by the operation `area`, beside the sink's
    /// root and outside of what it lists: as a second name or copy ([`AsideMode::Keep`]), or by moving it there
    /// ([`AsideMode::Move`]). Does nothing when the same object is there already. Needs [`Capabilities::aside`].
    async fn set_aside(&self, key: &Key, area: &str, mode: AsideMode) -> Result<()> {
        let _ = (area, mode);
        Err(unsupported("set aside", key))
    }

    /// Makes sure, before anything changes, that objects of `bytes` in all can be set aside for the operation `area`:
    /// that the place can be written, and has room where setting aside needs any. [`remove_aside`](Sink::remove_aside)
    /// takes back what this made.
    ///
    /// The default finds out when it is done.
    async fn prepare_aside(&self, area: &str, bytes: u64) -> Result<()> {
        let _ = (area, bytes);
        Ok(())
    }

    /// Removes all that was set aside by the operation `area`. Needs [`Capabilities::aside`].
    async fn remove_aside(&self, area: &str, activity: &Activity) -> Result<()> {
        let _ = activity;
        Err(Error::new(
            ErrorKind::Unsupported,
            "remove",
            area,
            "this sink sets nothing aside",
        ))
    }

    /// What is set aside now, by operation.
    ///
    /// The default knows of nothing.
    async fn list_aside(&self) -> Result<Vec<AsideArea>> {
        Ok(Vec::new())
    }

    /// Where [`set_aside`](Sink::set_aside) puts things, for people.
    fn aside_location(&self, area: &str) -> Option<String> {
        let _ = area;
        None
    }
}

fn unsupported(operation: &'static str, key: &Key) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        key.as_str(),
        "this sink does not support it",
    )
}

/// An object being written.
///
/// Dropping it without [`commit`](Upload::commit) leaves nothing visible, and, as far as a drop can, nothing at all.
#[async_trait]
pub trait Upload: Send {
    /// Appends `bytes`.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// A handle on the local file that the bytes end up in, positioned at its end, where there is one.
    /// Who takes it writes through it, and no longer calls [`write`](Upload::write).
    fn local_file(&mut self) -> Result<Option<File>> {
        Ok(None)
    }

    /// Makes the object visible, whole and at once, or, with [`WriteOptions::stage`], ready to be promoted.
    ///
    /// What it returns is what [`Sink::head`] would say, but for the modification time, which is `None` where the
    /// store does not tell it with its answer: asking for it would be a request more for every object.
    async fn commit(self: Box<Self>) -> Result<Meta>;

    /// Gives the object up; nothing of it stays.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// What [`Sink::pins`] gives: a place for second names. Dropping it removes it, as far as a drop can.
#[async_trait]
pub trait Pins: Send + Sync {
    /// Pins the objects, and tells what each is that was pinned, in the same order; `None` where no object is at a key.
    /// An object that is pinned already is pinned anew, as it is now.
    ///
    /// Fails with [`ErrorKind::Unsupported`] where the file system, or a file's rights, do not let it.
    async fn pin(&self, keys: &[Key]) -> Result<Vec<Option<Meta>>>;

    /// Opens what was pinned at `key`; as [`Sink::get`].
    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object>;

    /// Removes the place and every second name in it. It may take long: each step is noted in `activity`.
    async fn release(self: Box<Self>, activity: &Activity) -> Result<()>;
}

/// What [`Sink::durability`] gives.
#[async_trait]
pub trait Durability: Send + Sync {
    /// Returns when everything committed since the mark was opened survives a loss of power. An error of the
    /// disk that was met meanwhile is reported here.
    async fn sync(&self) -> Result<()>;
}

struct DurableByItself;

#[async_trait]
impl Durability for DurableByItself {
    async fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// What [`Sink::lock`] gives.
pub enum LockOutcome {
    /// The lock is the caller's until it releases or drops the guard.
    Held(Box<dyn LockGuard>),
    /// Somebody else has it, by the text it gave; empty where that can't be read.
    Busy(String),
}

impl fmt::Debug for LockOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(_) => f.write_str("Held"),
            Self::Busy(holder) => write!(f, "Busy({holder:?})"),
        }
    }
}

/// For how long a [`LockGuard`] may keep its lock alive without having been [checked](LockGuard::check).
pub const UNCHECKED_LOCK_LIVES: Duration = Duration::from_secs(60);

/// A lock that is held.
///
/// Where a lock has to be renewed to stay, its guard does so by itself, but for no longer than [`UNCHECKED_LOCK_LIVES`] after
/// the last [`check`](LockGuard::check): an operation that hangs, and checks no more, loses it.
#[async_trait]
pub trait LockGuard: Send + Sync {
    /// Succeeds when the lock is still this holder's; [`ErrorKind::Busy`] when it was lost.
    async fn check(&self) -> Result<()>;

    /// Gives the lock back; doing it again does nothing. Dropping the guard does too, as far as a drop can.
    async fn release(&self) -> Result<()>;
}
