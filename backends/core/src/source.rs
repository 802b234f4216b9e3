//! Sources: what a backup is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use crate::{
    Activity, Body, ChangeStream, Digest, Discard, Discarded, Entry, Key, OperationId, Result,
    Scope, Sink, Upload,
};

/// A stream of entries, in byte order of their keys.
pub type EntryStream<'a> = BoxStream<'a, Result<Entry>>;

/// Something that a backup is made of: Parquet files, a database, a configuration file.
///
/// [`section`](Source::section), [`snapshot`](Source::snapshot) and [`restore`](Source::restore)
/// are required. A source has a section, which is its folder in every backup. A backup takes a
/// [`Snapshot`] and copies its entries; a restore opens [`Restore`] and gives them back.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The name of the section: one segment of a key, the same for ever, as backups are read by it.
    fn section(&self) -> &str;

    /// Takes a snapshot that does not change while it is copied, or that at least notices when it
    /// does.
    ///
    /// Leaves nothing behind when it fails. Its files go to [`SnapshotRequest::scratch`].
    async fn snapshot(&self, request: SnapshotRequest) -> Result<Box<dyn Snapshot>>;

    /// Prepares to take entries back. Changes nothing that is live.
    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>>;

    /// The storage whose objects are its entries, each at its own key: what a restore set aside
    /// there can be put back.
    ///
    /// The default has none.
    fn files(&self) -> Option<Arc<dyn Sink>> {
        None
    }

    /// Removes, or counts, the snapshots of crashed operations. Called before an operation begins;
    /// another program's snapshots may be in use.
    ///
    /// The default has none.
    async fn discard_snapshots(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        let _ = (discard, activity);
        Ok(Discarded::default())
    }

    /// Removes, or counts, the files that interrupted restores staged and never put into force.
    /// Called when no restore runs.
    ///
    /// The default has none.
    async fn discard_unfinished(&self, discard: Discard) -> Result<Discarded> {
        let _ = discard;
        Ok(Discarded::default())
    }
}

/// What a source needs to take a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotRequest {
    /// The operation that this is part of.
    pub operation_id: OperationId,
    /// A private folder on local disk that exists, and that is removed after the operation.
    pub scratch: PathBuf,
    /// Cancelled when the operation is to end.
    pub cancel: CancellationToken,
    /// Where each step is noted.
    pub activity: Activity,
    /// What is wanted: a source gives no entry that is out of scope.
    pub scope: Scope,
    /// What becomes of passwords, keys and tokens in files that a person writes.
    pub secrets: Secrets,
    /// Files that need not be read, as an earlier backup has them: a source need not hold on to
    /// them. `None` where every file is read.
    pub known: Option<Arc<dyn KnownFiles>>,
}

/// Files of a source that an earlier backup has, as they are now.
pub trait KnownFiles: Send + Sync + fmt::Debug {
    /// A reader from the start. May be called again.
    ///
    /// # Errors
    /// When the list of these files can't be read.
    fn reader(&self) -> Result<Box<dyn KnownReader>>;
}

/// Reads [`KnownFiles`] in step with a listing.
pub trait KnownReader: Send {
    /// Whether the bytes of `entry` are known. Entries are asked for in byte order of their keys.
    ///
    /// # Errors
    /// When the list can't be read.
    fn is_known(&mut self, entry: &Entry) -> Result<bool>;
}

/// What becomes of secrets in a snapshot of files that a person writes, such as a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    /// They are in it, as the file is.
    #[default]
    Include,
    /// The name of a variable is in the place of each, and [`SourceReport::redacted`] lists the
    /// names.
    Redact,
}

/// The consistent data of a source, as a backup copies it.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// The entries, each once, in byte order of their keys. May be called again, and gives the same
    /// as long as [`reconcile`](Snapshot::reconcile) was not called.
    fn entries(&self) -> EntryStream<'_>;

    /// Opens an entry for reading. Fails with [`crate::ErrorKind::Changed`] or
    /// [`crate::ErrorKind::NotFound`] when it is no longer what was listed. Whoever reads an open
    /// file notices by itself when that is changed in between.
    async fn open(&self, entry: &Entry) -> Result<Body>;

    /// Takes up that entries were gone or changed when they were [opened](Snapshot::open): looks
    /// again at what belongs together with them, and returns how the snapshot differs now from what
    /// [`entries`](Snapshot::entries) gave. `None` where the source can't do that: then the entries
    /// are lost.
    async fn reconcile(&self, lost: &[Key]) -> Result<Option<Reconciled>> {
        let _ = lost;
        Ok(None)
    }

    /// What there is to say of this snapshot; complete when all entries have been read.
    fn report(&self) -> SourceReport;

    /// Releases the snapshot and everything that it holds.
    async fn release(self: Box<Self>) -> Result<()>;
}

/// How a snapshot differs from what it was, as [`Snapshot::reconcile`] gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Keys that no longer belong to it, whether they were copied or not.
    pub gone: Vec<Key>,
    /// Entries to be copied, in byte order: they are new, or were gone or changed. What was copied
    /// at their keys is not theirs.
    pub entries: Vec<Entry>,
}

/// What a source says of a snapshot, for the manifest and the status.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SourceReport {
    /// Where the data came from, without credentials.
    pub origin: Option<Origin>,
    /// How the snapshot was taken: `hard-links`, `settled-listing`, … `None` for a source whose
    /// files nobody changes.
    pub method: Option<String>,
    /// The moment that it speaks for: what was committed before it is in the snapshot.
    pub moment: Option<SystemTime>,
    /// Links, FIFOs, sockets and devices, which a backup does not hold.
    pub special_files: u64,
    /// The first of them, by path.
    pub special_sample: Vec<String>,
    /// Files whose names no key can carry.
    pub unaddressable_files: u64,
    /// The first of them, by path.
    pub unaddressable_sample: Vec<String>,
    /// What could not be looked at, by its path in the section, a folder with a `/` at its end, and
    /// why: the snapshot lacks it, and a backup of it is not complete.
    pub unreadable: BTreeMap<String, String>,
    /// What belongs to the source, and can't be in the backup: each with its reason.
    pub not_included: Vec<String>,
    /// The names of the variables that are in the place of secrets ([`Secrets::Redact`]).
    pub redacted: Vec<String>,
    /// Files of Arc's cold tier that are not in the snapshot.
    pub cold_files_excluded: u64,
    /// Whether the cold tier was listed, and its files are in the snapshot.
    pub has_cold_tier: bool,
    /// What else the operator should know of it.
    pub warnings: Vec<String>,
    /// For each entry that a setting names, the key in the configuration: `arc.db` →
    /// `auth.db_path`.
    pub settings: BTreeMap<String, String>,
}

/// Where data came from, or goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The kind of storage: `local`, `s3`, …
    pub kind: String,
    /// The path or URL, without credentials.
    pub location: String,
}

/// What a source is given to take entries back.
#[derive(Debug, Clone)]
pub struct Staging {
    /// The operation that this is part of.
    pub operation_id: OperationId,
    /// A private folder on local disk that exists, and that is removed after the operation.
    pub scratch: PathBuf,
    /// The name that files are staged under: that of this operation, or of an interrupted one.
    pub stage: OperationId,
    /// Which files are staged under that name already.
    pub staged_before: StagedBefore,
    /// Cancelled when the operation is to end. Obeyed until [`Restore::apply`] begins.
    pub cancel: CancellationToken,
    /// Where each step is noted.
    pub activity: Activity,
    /// What becomes of live files that the backup does not hold.
    pub extra_files: ExtraFiles,
    /// How much of Arc's cold tier the backup holds: what it may lack stays, though not in it.
    pub cold_held: ColdHeld,
    /// Where a source whose storage can set nothing aside by itself keeps what it replaces: a
    /// folder in the target that holds the backup, in which each operation has one of its own name.
    pub aside: Option<(Arc<dyn Sink>, Key)>,
    /// Operations that were interrupted, and that this one goes on with, each with what it did with
    /// extra files: what they have set aside is there under their own names.
    pub earlier: Vec<(OperationId, ExtraFiles)>,
    /// Keys that are left as they are, whatever is live there: the backup has had them, and can't
    /// give them back. They are neither among the entries nor extra.
    pub untouched: Arc<BTreeSet<Key>>,
    /// Whether nothing was live before the restore, or the interrupted one that it completes: it
    /// makes a new instance.
    pub is_new: bool,
    /// What is restored: nothing that is live and out of scope is read, listed as extra or changed.
    /// The entries are all in scope.
    pub scope: Scope,
}

/// Which files are staged before a restore is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StagedBefore {
    /// None.
    #[default]
    Nothing,
    /// Those of an interrupted restore of the same backup: their bytes are verified before they are
    /// used.
    ByInterrupted,
    /// Those of this operation, which plans again: their bytes were verified as they were written.
    ByThisOperation,
}

impl StagedBefore {
    /// Whether there may be any.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::Nothing
    }
}

/// How much of Arc's cold tier a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColdHeld {
    /// Nothing says it: all of it where it holds some, else nothing.
    #[default]
    Unknown,
    /// All that was there, which may be nothing.
    All,
    /// All but so many files. It may be another number, where other files are lacking too.
    AllBut(u64),
}

/// What becomes of live files that the backup does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExtraFiles {
    /// They are moved aside and kept.
    #[default]
    SetAside,
    /// They stay where they are.
    Keep,
    /// They are moved aside, and removed after everything else has succeeded.
    Remove,
}

/// A restore of one source, in steps: [`plan`](Restore::plan) → for each of
/// [`needed`](Restore::needed): [`begin`](Restore::begin), commit, [`staged`](Restore::staged) →
/// [`ready`](Restore::ready) → [`apply`](Restore::apply) → [`finish`](Restore::finish); or
/// [`abort`](Restore::abort) before `apply`.
///
/// Until `apply`, nothing that is live changes (unless
/// [`changes_while_staging`](Restore::changes_while_staging)). The steps of all sources go
/// together: no source's `apply` begins before all are `ready`.
#[async_trait]
pub trait Restore: Send + Sync {
    /// Takes the entries that the backup holds, in byte order, compares them with what is live, and
    /// decides what to do. An entry that can't be taken back is an error here, naming it.
    async fn plan(&self, entries: EntryStream<'_>) -> Result<RestoreSummary>;

    /// The entries whose bytes are needed, in byte order. May be called again, and gives the same.
    fn needed(&self) -> EntryStream<'_>;

    /// Begins to take the bytes of `entry`.
    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>>;

    /// Notes that `entry` was committed; its `sha256` is that of the bytes written.
    async fn staged(&self, entry: &Entry) -> Result<()>;

    /// Takes the bytes of `entry`, which is needed, from the files that are staged already
    /// ([`Staging::staged_before`]): only where they have its digest. Returns whether it did; then
    /// the entry is staged, as [`staged`](Restore::staged) notes it.
    ///
    /// The default finds nothing.
    async fn take_staged(&self, entry: &Entry) -> Result<bool> {
        let _ = entry;
        Ok(false)
    }

    /// Makes the last checks when everything is staged, and makes it durable.
    async fn ready(&self) -> Result<()>;

    /// Puts everything staged into force.
    async fn apply(&self) -> Result<()>;

    /// Looks once more at what is live, and returns what was done.
    async fn finish(&self) -> Result<RestoreSummary>;

    /// Removes everything staged. Nothing live has changed, and nothing changes.
    async fn abort(&self) -> Result<()>;

    /// Ends it as [`abort`](Restore::abort) does, but leaves what is staged for the next restore of
    /// the same backup, where that can find it; returns how many entries these are.
    ///
    /// The default aborts.
    async fn leave_staged(&self) -> Result<u64> {
        self.abort().await?;
        Ok(0)
    }

    /// What `apply` will change, once it is [`ready`](Restore::ready): recorded before the first
    /// change, so that the restore can be taken back. `None` where that is not possible.
    ///
    /// The default is `None`.
    fn changes(&self) -> Option<ChangeStream<'_>> {
        None
    }

    /// How many entries are restored so far, of those whose bytes are needed: for a restore that
    /// fails half-way. The default does not know.
    fn restored_so_far(&self) -> Option<u64> {
        None
    }

    /// How many live files were set aside so far, and where: for a restore that fails half-way. The
    /// default has none.
    fn set_aside_so_far(&self) -> Option<(u64, String)> {
        None
    }

    /// Whether committing an entry already changes what is live: true for a storage that can't
    /// stage.
    fn changes_while_staging(&self) -> bool {
        false
    }
}

/// What a restore of one source will do, or did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RestoreSummary {
    /// Entries that were the same already and stay untouched.
    pub unchanged_files: u64,
    /// Their bytes.
    pub unchanged_bytes: u64,
    /// Entries whose bytes are needed.
    pub needed_files: u64,
    /// Their bytes.
    pub needed_bytes: u64,
    /// How many of these replace a live file.
    pub replaced_files: u64,
    /// Live files that the backup does not hold.
    pub extra_files: u64,
    /// Entries that were hot in the backup, and are live in the cold tier, where they stay. They
    /// are among the unchanged ones.
    pub cold_files_skipped_already_cold: u64,
    /// Bytes of those needed that may be staged already: they need not be copied again.
    pub staged_bytes: u64,
    /// What must be free on local disk before anything changes: a path, and how many bytes are
    /// needed where it is. Those of all sources are added up for each file system.
    pub room: Vec<(PathBuf, u64)>,
    /// Live files that were moved or copied aside.
    pub set_aside_files: u64,
    /// Where to.
    pub set_aside_location: Option<String>,
    /// Live files beside those of the backup that were kept in place.
    pub kept_extra_files: u64,
    /// Live files that appeared while the restore ran.
    pub appeared_files: u64,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// What is not as it should be, each by path and reason: the restore failed.
    pub problems: Vec<(String, String)>,
    /// Where the state of before can be found: `….before-restore`.
    pub kept: Vec<String>,
    /// SHA-256 of what the plan was made from: the entries, and what is live in their scope. Two
    /// plans with the same one do the same. `None` where the source does not say it.
    pub basis: Option<Digest>,
    /// What the plan changes in each of Arc's databases, by name.
    pub databases: BTreeMap<String, FileChanges>,
}

impl RestoreSummary {
    /// The number of files that change.
    #[must_use]
    pub fn changes(&self) -> FileChanges {
        FileChanges {
            unchanged_files: self.unchanged_files,
            needed_files: self.needed_files,
            needed_bytes: self.needed_bytes,
            replaced_files: self.replaced_files,
            extra_files: self.extra_files,
        }
    }
}

/// How many files a restore changes, in a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileChanges {
    /// Files that are the same already.
    pub unchanged_files: u64,
    /// Files that are written.
    pub needed_files: u64,
    /// Their bytes.
    pub needed_bytes: u64,
    /// How many of these replace a live file.
    pub replaced_files: u64,
    /// Live files that the backup does not hold.
    pub extra_files: u64,
}

impl FileChanges {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.unchanged_files += other.unchanged_files;
        self.needed_files += other.needed_files;
        self.needed_bytes = self.needed_bytes.saturating_add(other.needed_bytes);
        self.replaced_files += other.replaced_files;
        self.extra_files += other.extra_files;
    }

    /// What was added since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            unchanged_files: self.unchanged_files - before.unchanged_files,
            needed_files: self.needed_files - before.needed_files,
            needed_bytes: self.needed_bytes - before.needed_bytes,
            replaced_files: self.replaced_files - before.replaced_files,
            extra_files: self.extra_files - before.extra_files,
        }
    }
}
