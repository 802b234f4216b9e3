//! One file of a backup.

use std::ops::Range;
use std::sync::Arc;

use arc_backup_core::Digest;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::lease::ReadLease;
use super::verified::{Expected, verified};
use crate::Result;
use crate::manifest::{BackupId, Record};
use crate::operations::LocalInventory;
use crate::repository::Repository;

/// One file of a backup, which can be read.
#[derive(Debug)]
pub struct BackupFile {
    /// The backup.
    pub(super) id: BackupId,
    /// Where it is.
    pub(super) repository: Repository,
    pub(super) local: Arc<LocalInventory>,
    pub(super) record: Record,
}

impl BackupFile {
    /// Its path in the backup.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.record.path
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.record.entry.size
    }

    /// Its SHA-256; `None` in a backup that has none for it.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        self.record.entry.sha256
    }

    /// Opens the file, or these bytes of it. The whole is compared with its SHA-256 while it is
    /// read, and the last of it comes only if it is right. Until it is closed or dropped, nothing
    /// of the target's backups is deleted.
    ///
    /// # Errors
    /// [`crate::Error::Busy`] where a deletion runs in the target, and those of the target.
    pub async fn open(&self, range: Option<Range<u64>>) -> Result<OpenedFile> {
        let whole = 0..self.size();
        let range = range.filter(|range| *range != whole);
        let expected = Expected {
            id: self.id.to_string(),
            path: self.record.path.to_string(),
            size: range.as_ref().map_or(whole.end, |one| one.end - one.start),
            sha256: self.sha256().filter(|_| range.is_none()),
        };
        let lease = ReadLease::take(&self.repository).await?;
        let body = (self.repository)
            .open_file(&self.id, &self.local.inventory, &self.record, range)
            .await?;
        Ok(OpenedFile {
            pieces: verified(body, expected),
            lease,
        })
    }
}

/// A file of a backup that is being read.
pub struct OpenedFile {
    pieces: BoxStream<'static, Result<Bytes>>,
    lease: ReadLease,
}

impl OpenedFile {
    /// The next bytes; `None` at the end of a file that is what it should be.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`] where its size or SHA-256 is another one, and the errors of the
    /// target.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.pieces.try_next().await
    }

    /// Lets deletions go on.
    pub async fn close(self) {
        self.lease.release().await;
    }

    /// The rest as a stream. It closes the file before its last piece, so that whoever has read it
    /// all may delete, or when it is dropped.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::try_unfold((Some(self), None), |(opened, mut held)| async move {
            let Some(mut opened) = opened else {
                return Ok(None);
            };
            while let Some(piece) = opened.next().await? {
                if let Some(before) = held.replace(piece) {
                    return Ok(Some((before, (Some(opened), held))));
                }
            }
            opened.close().await;
            Ok(held.map(|last| (last, (None, None))))
        })
        .boxed()
    }
}
