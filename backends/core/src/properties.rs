//! What others have to know of a sink.

use std::path::PathBuf;

/// What others have to know of a [`Sink`](crate::Sink), as
/// [`Sink::properties`](crate::Sink::properties) gives it.
///
/// The defaults promise nothing: they are right for any store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkProperties {
    /// What an entity tag proves.
    pub entity_tag: EntityTag,
    /// What a call costs.
    pub access: Access,
    /// Whether objects keep the modification time and mode that they are written with.
    pub keeps_attributes: bool,
    /// Whether modification times are of the clock of this machine.
    pub shares_clock: bool,
    /// How many objects are best written or read at once; `None` where that makes no great
    /// difference. A store over a network wants many, as each waits for answers most of its time.
    pub concurrency: Option<usize>,
    /// The root folder, where the objects are files under it on a disk of this machine. To be asked
    /// only by a caller that needs the path itself.
    pub local_path: Option<PathBuf>,
    /// The proxy that requests go through, for people: a URL, never with credentials. `None` where
    /// they go through none.
    pub proxy: Option<String>,
    /// Whether the place is known to keep what is deleted or overwritten, as earlier versions that
    /// take room and are not listed. Known from the answers so far, and so at the latest after a
    /// write and a deletion.
    pub keeps_deleted: bool,
}

/// What the entity tag of an object proves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EntityTag {
    /// That nobody has written the object, as far as its times and its number in the file system
    /// show. They may come again: an equal tag does not prove equal bytes.
    #[default]
    Weak,
    /// That it is the very object: an equal tag means equal bytes, however much time has passed.
    Strong,
}

/// What a call costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// A call goes to this machine: it costs little, and a fault is of that object alone.
    Direct,
    /// A call is a request over a network: it may cost money and take long, and what refuses one
    /// object may refuse all, as when credentials expire.
    #[default]
    Network,
}
