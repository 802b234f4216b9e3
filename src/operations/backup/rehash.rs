//! Reading unchanged files again, in the data and in the base: nothing else shows bytes that
//! changed without a trace, or that a disk has lost.

use arc_backup_core::{Body, Digest, Error as CoreError, ErrorKind, GetOptions, Hasher, Snapshot};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::manifest::Record;
use crate::operations::backup::base::Base;
use crate::operations::context::Context;
use crate::repository::location_of;

/// What came of reading a file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reread {
    /// It is what the base says, in the base, and in the data if it can be read there.
    Same,
    /// Reading was stopped.
    NotRead,
    /// Its bytes in the data changed without a trace.
    Changed,
    /// Its copy in the base is damaged.
    Damaged,
}

/// Reads a file in the data and in the base, and warns of what differs.
pub(super) async fn reread(
    context: &Context,
    snapshot: &dyn Snapshot,
    base: &Base,
    now: &Record,
    of_base: &Record,
    stop: &CancellationToken,
) -> Result<Reread> {
    let expected = Some((of_base.entry.size, of_base.entry.sha256));
    let read =
        async { read_digest(context, snapshot.open(&now.entry).await?, &now.path, stop).await };
    let found = match read.await {
        Ok(Some((size, digest))) => Some((size, Some(digest))),
        Ok(None) => return Ok(Reread::NotRead),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Changed) => {
            // What the base has is the file as it was listed.
            None
        }
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error.into()),
        Err(error) => {
            context.warn(format!(
                "`{}` could not be read again, and is that of backup `{}`: {error}",
                now.path, base.id
            ));
            None
        }
    };
    let (_, key) = location_of(&base.id, of_base)?;
    let read = async {
        let object = (context.repository.sink())
            .get(&key, GetOptions::default())
            .await?;
        read_digest(context, object.body, &key, stop).await
    };
    let held = match read.await {
        Ok(Some((size, digest))) => Ok((size, Some(digest))),
        Ok(None) => return Ok(Reread::NotRead),
        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error.into()),
        Err(error) => Err(error),
    };
    let fault = match held {
        Ok(held) if Some(held) == expected => None,
        Ok(_) => Some("does not have its SHA-256".to_owned()),
        Err(error) => Some(format!("can't be read ({error})")),
    };
    if let Some(fault) = fault {
        context.warn(format!(
            "backup `{}` is damaged: `{}` {fault}; the file is copied from the data",
            base.id, of_base.path
        ));
        return Ok(Reread::Damaged);
    }
    if found.is_none() || found == expected {
        return Ok(Reread::Same);
    }
    context.warn(format!(
        "`{}` has other bytes than in backup `{}`, with the same size and time of modification: something changed it without \
         a trace, or its disk is failing; the new bytes are copied, compare them with those of the backup",
        now.path, base.id
    ));
    Ok(Reread::Changed)
}

/// Reads a body, and returns its size and digest; `None` when it was stopped.
pub(super) async fn read_digest(
    context: &Context,
    body: Body,
    subject: &str,
    stop: &CancellationToken,
) -> Result<Option<(u64, Digest)>, CoreError> {
    let mut hasher = Hasher::new();
    let mut size = 0;
    let mut pieces = crate::pipeline::pieces(body, subject);
    while let Some(piece) = pieces.next().await {
        if stop.is_cancelled() {
            return Ok(None);
        }
        context.running.progress.activity().note();
        let piece = piece?;
        size += piece.len() as u64;
        hasher.update(&piece);
    }
    Ok(Some((size, hasher.finish())))
}
