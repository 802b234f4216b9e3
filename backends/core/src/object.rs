//! The types of a sink's methods: objects, listings and options.

use std::ops::Range;
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Body, Key, Result};

/// Where an object lies in a store, as [`ServerCopy::address`](crate::ServerCopy::address) gives
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The store, by a text that is the same for all sinks that can copy from each other: never
    /// with credentials.
    pub store: String,
    /// The place itself, whatever the rights to it: host, or account. Two sinks with the same place
    /// and path are one.
    pub place: String,
    /// The object's name in that store, with its bucket or container.
    pub path: String,
}

/// How to write an object.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// How many bytes will come, if known: a hint for part sizes, never a promise.
    pub size_hint: Option<u64>,
    /// The modification time to give it, where the sink keeps one.
    pub modified: Option<SystemTime>,
    /// The Unix permission bits to give it, where the sink keeps them; without, private to the
    /// owner (`0600`).
    pub mode: Option<u32>,
    /// Fail with [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists) at commit when `key`
    /// exists by then.
    pub create_new: bool,
    /// Whether commit returns only when the object survives a loss of power.
    pub durable: bool,
    /// What it is written for.
    pub purpose: Purpose,
}

/// What an object is written for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// It is one of the many that are copied.
    #[default]
    Data,
    /// The operation itself needs it: a manifest, a journal, a note. It is small, and a sink lets
    /// it wait for nothing that copies hold (room for bytes, turns of requests).
    Control,
}

/// How to read an object.
#[derive(Debug, Clone, Default)]
pub struct GetOptions {
    /// Only these bytes.
    pub range: Option<Range<u64>>,
    /// Only if the object still has this entity tag.
    pub if_match: Option<String>,
    /// Whether whoever reads knows the digest of the whole object and checks it: a sink may then
    /// save itself checksums of its own, and gives the bytes as they came. Without it, it asks for
    /// those that the store has.
    pub reader_checks: bool,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Only keys that start with this text; a whole folder ends in `/`.
    pub prefix: String,
    /// Only keys behind this one in byte order.
    pub start_after: Option<String>,
    /// Folders and keys to omit, with all that lies below them: never entered, whatever they hold.
    pub skip: Vec<String>,
}

impl ListOptions {
    /// The first text, in byte order, that may be a key of such a listing.
    #[must_use]
    pub fn first(&self) -> String {
        // The first text behind a key is that key and a zero.
        let behind = (self.start_after.as_ref()).map(|key| format!("{key}\0"));
        behind.unwrap_or_default().max(self.prefix.clone())
    }

    /// Whether `key` is one of those to skip, or lies in one.
    #[must_use]
    pub fn skips(&self, key: &Key) -> bool {
        self.skip.iter().any(|folder| key.is_within(folder))
    }

    /// Everything in `folder`.
    #[must_use]
    pub fn within(folder: &Key) -> Self {
        Self {
            prefix: format!("{folder}/"),
            ..Self::default()
        }
    }
}

/// The stream that [`Sink::list`](crate::Sink::list) gives.
pub type ListStream = BoxStream<'static, Result<Listed>>;

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// An object.
    Object(Meta),
    /// Something that is not an object.
    Other {
        /// Its path under the root, for people: bytes that are no UTF-8 are replaced.
        path: String,
        /// What it is.
        kind: OtherKind,
    },
}

/// What may lie in a place and is not an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherKind {
    /// A symbolic link, wherever it leads.
    Symlink,
    /// A FIFO, a socket or a device.
    Special,
    /// A file or folder whose name can't be a [`Key`].
    Unaddressable,
}

impl OtherKind {
    /// The kind, for messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Symlink => "a symbolic link",
            Self::Special => "no regular file",
            Self::Unaddressable => "a name that no key can carry",
        }
    }
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its key.
    pub key: Key,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// Its Unix permission bits, where the sink keeps them.
    pub mode: Option<u32>,
    /// Its entity tag: changes whenever the object does. Opaque.
    pub etag: Option<String>,
    /// Whether it is known to lie in an archive tier, from which nothing can be read
    /// ([`ErrorKind::Archived`](crate::ErrorKind::Archived)). Not known is `false`.
    pub archived: bool,
    /// Which file of which file system it is, where it is one.
    pub file_id: Option<FileId>,
}

/// The number of a file, which another file that is renamed over it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device that the file system is on.
    pub device: u64,
    /// The inode.
    pub inode: u64,
}

impl Meta {
    /// The facts of an object of which only key and size are known.
    #[must_use]
    pub fn new(key: Key, size: u64) -> Self {
        Self {
            key,
            size,
            modified: None,
            mode: None,
            etag: None,
            archived: false,
            file_id: None,
        }
    }
}

/// An object opened for reading.
#[derive(Debug)]
pub struct Object {
    /// What is known of it; the size is that of the whole object, whatever range was asked for.
    pub meta: Meta,
    /// Its bytes, or the range of them that was asked for.
    pub body: Body,
}

impl Object {
    /// The object of these facts and bytes, or the range of them: for sinks that have the whole
    /// object in memory.
    #[must_use]
    pub fn from_bytes(meta: Meta, bytes: Bytes, range: Option<Range<u64>>) -> Self {
        let range = range.unwrap_or(0..meta.size);
        // Both bounds are at most the length of bytes in memory.
        let end = range.end.min(bytes.len() as u64) as usize;
        let start = range.start.min(end as u64) as usize;
        Self {
            meta,
            body: Body::from_bytes(bytes.slice(start..end)),
        }
    }
}

/// One child of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child {
    /// An object, by its name in the folder.
    Object(String),
    /// A folder, by its name.
    Folder(String),
    /// Something else, by its name (lossy) and kind.
    Other(String, OtherKind),
}

impl Child {
    /// The name in the folder.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Object(name) | Self::Folder(name) | Self::Other(name, _) => name,
        }
    }
}

/// How [`AsideStore::set_aside`](crate::AsideStore::set_aside) keeps an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsideMode {
    /// It stays where it is as well: its bytes are about to be replaced.
    Keep,
    /// It leaves its place.
    Move,
}
