//! The two traits that `arc-backup` is made of, and their types.
//!
//! A backup copies what a [`Source`] has into a [`Sink`], and a restore copies it back. The engine
//! that does the copying knows only these traits; local disk, S3 and Azure Blob Storage are crates
//! beside this one, and a third party adds its own in the same way.
//!
//! - [`Sink`]: a place that keeps bytes under [`Key`]s: write, read, list, delete, lock.
//! - [`Source`]: something to back up: take a snapshot of it, list it, read it, take it back.
//! - [`Section`], [`Scope`]: the parts of a backup, and what an operation is about.
//! - [`MemorySink`]: a sink in memory, for tests and as the smallest complete example.
//! - `remote` (feature of the same name): retries, a limit on requests, bounded buffers, resumed
//!   reads and proxies, for sinks over a network.
//! - `conformance` (feature of the same name): the suite that every sink has to pass.

mod activity;
mod aside;
mod blocking;
mod body;
mod buffered;
mod change;
#[cfg(feature = "conformance")]
pub mod conformance;
mod contents;
mod copy;
mod digest;
mod discard;
mod entry;
mod error;
mod in_order;
mod key;
mod memory;
mod object;
mod operation_id;
mod properties;
#[cfg(feature = "remote")]
mod proxy;
#[cfg(feature = "remote")]
pub mod remote;
mod scope;
mod section;
mod sink;
mod source;

pub use activity::Activity;
pub use aside::{AsideArea, AsideAreas, AsideObject};
pub use blocking::BlockingJob;
pub use body::{Body, ByteStream};
pub use buffered::BufferedUpload;
pub use change::{Change, ChangeStream, Version};
pub use contents::{RowTimes, Rows, SourceDamage};
pub use copy::copy_object;
pub use digest::{Digest, Hasher, ParseDigestError};
pub use discard::{Discard, Discarded};
pub use entry::{Entry, Tier};
pub use error::{Error, ErrorKind, Result};
pub use in_order::InOrder;
pub use key::{InvalidKey, Key};
pub use memory::MemorySink;
pub use object::{
    Address, AsideMode, Child, FileId, GetOptions, ListOptions, ListStream, Listed, Meta, Object,
    OtherKind, Purpose, WriteOptions,
};
pub use operation_id::{InvalidOperationId, OperationId};
pub use properties::{Access, EntityTag, SinkProperties};
#[cfg(feature = "remote")]
pub use proxy::Proxies;
pub use scope::{
    Databases, EmptyTimeRange, InvalidSelector, Scope, Selection, Selector, TimeRange, database_of,
};
pub use section::{InvalidSection, Section};
pub use sink::{
    AsideStore, DeferredDurability, Durability, ExpiringLocks, Folders, HardLinks, LockGuard,
    LockOutcome, ServerCopy, Sink, SnapshotFolder, SnapshotStore, StagingArea,
    UNCHECKED_LOCK_LIVES, UnfinishedUploads, Upload,
};
pub use source::{
    ColdHeld, EntryStream, ExtraFiles, FileChanges, KnownFiles, KnownReader, Origin, Reconciled,
    Restore, RestoreSummary, Secrets, Snapshot, SnapshotRequest, Source, SourceReport,
    StagedBefore, Staging,
};
