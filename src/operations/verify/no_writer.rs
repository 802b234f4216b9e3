//! A destination that keeps nothing: files are read and hashed only.

use arc_backup_core::{Entry, Error as CoreError, Upload};
use async_trait::async_trait;

use crate::pipeline::Writer;

/// Reads and hashes only.
pub(crate) struct NoWriter;

#[async_trait]
impl Writer for NoWriter {
    async fn begin(&self, _entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        Ok(None)
    }
}
