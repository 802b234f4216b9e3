//! A writer without a destination: files are only read and hashed.

use arc_backup_core::{Entry, Error as CoreError, Upload};
use async_trait::async_trait;

use crate::pipeline::Writer;

/// Writes nothing: files are only read and hashed.
pub(crate) struct NoWriter;

#[async_trait]
impl Writer for NoWriter {
    async fn begin(&self, _entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        Ok(None)
    }
}
