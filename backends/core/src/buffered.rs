//! Uploads that are gathered in memory.

use std::future::Future;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::{Meta, Result, Upload};

/// An upload that gathers its bytes in memory, and stores them at once when it is committed: for
/// stores that take whole objects only.
///
/// ```
/// # use arc_backup_core::{BufferedUpload, Meta, Result, Upload};
/// # async fn put(_: bytes::Bytes) -> Result<Meta> { unimplemented!() }
/// let upload: Box<dyn Upload> = Box::new(BufferedUpload::new(|bytes| async move {
///     put(bytes).await
/// }));
/// ```
#[derive(Debug)]
pub struct BufferedUpload<F> {
    bytes: BytesMut,
    store: F,
}

impl<F, Fut> BufferedUpload<F>
where
    F: FnOnce(Bytes) -> Fut + Send,
    Fut: Future<Output = Result<Meta>> + Send,
{
    /// An upload whose bytes go to `store` when it is committed.
    pub fn new(store: F) -> Self {
        Self {
            bytes: BytesMut::new(),
            store,
        }
    }
}

#[async_trait]
impl<F, Fut> Upload for BufferedUpload<F>
where
    F: FnOnce(Bytes) -> Fut + Send,
    Fut: Future<Output = Result<Meta>> + Send,
{
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Meta> {
        let Self { bytes, store } = *self;
        store(bytes.freeze()).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
