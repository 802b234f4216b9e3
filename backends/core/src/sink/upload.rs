//! Objects being written, and how they become durable.

use std::fs::File;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Meta, Result};

/// An object being written.
///
/// [`write`](Upload::write), [`commit`](Upload::commit) and [`abort`](Upload::abort) are required;
/// by default there is no [local file](Upload::local_file). Dropping an upload without
/// [`commit`](Upload::commit) leaves nothing visible, and, as far as a drop can, nothing at all.
#[async_trait]
pub trait Upload: Send {
    /// Appends `bytes`. After a failed write the upload can only be aborted.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// A handle on the local file that the bytes end up in, positioned at its end, where there is
    /// one. Whoever takes it writes through it, and no longer calls [`write`](Upload::write).
    ///
    /// The default has none.
    fn local_file(&mut self) -> Result<Option<File>> {
        Ok(None)
    }

    /// Makes the object visible, whole and at once, or, of a [staged](crate::StagingArea::begin)
    /// one, ready to be promoted.
    ///
    /// What it returns is what [`Sink::head`](crate::Sink::head) would say, but for the
    /// modification time, which is `None` where the store's answer does not have it: asking for it
    /// would be a request more for every object.
    async fn commit(self: Box<Self>) -> Result<Meta>;

    /// Discards the object; nothing of it stays.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// Makes commits durable: what [`DeferredDurability::open`](crate::DeferredDurability::open) gives.
#[async_trait]
pub trait Durability: Send + Sync {
    /// Returns when everything committed since this was opened survives a loss of power. An error
    /// of the disk that was met in between is reported here. May be called again.
    async fn sync(&self) -> Result<()>;
}
