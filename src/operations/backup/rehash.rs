//! Reading unchanged files again, in the data and in the base: nothing else shows bytes that
//! changed without a trace, or that a disk has lost.

use arc_backup_core::{
    Body, Digest, Error as CoreError, ErrorKind, GetOptions, Hasher, Key, Snapshot,
};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::manifest::Record;
use crate::operations::backup::base::Base;
use crate::operations::backup::base_faults::FaultKind;
use crate::operations::context::Context;
use crate::repository::location_of;

/// What came of reading a file again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reread {
    /// It is what the base says, in the base, and in the data if it can be read there.
    Same,
    /// Reading was stopped.
    NotRead,
    /// Its bytes in the data changed without a trace.
    Changed,
    /// Its copy in the base is damaged, or could not be read: which, and what to say of it.
    Fault(FaultKind, String),
}

/// Reads a file in the data and in the base, and warns of a silent change in the data.
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
    match compare(context, &key, of_base, stop).await? {
        Compared::Same => {}
        Compared::Stopped => return Ok(Reread::NotRead),
        Compared::Fault(kind, detail) => return Ok(Reread::Fault(kind, detail)),
    }
    if found.is_none() || found == expected {
        return Ok(Reread::Same);
    }
    context.warn(format!(
        "`{}` has other bytes than in backup `{}`, with the same size and time of modification. The new bytes are copied. \
         Compare them with those of the backup: a program set the time back, or the disk is failing",
        now.path, base.id
    ));
    Ok(Reread::Changed)
}

/// What came of comparing a stored file with its record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// It has the bytes.
    Same,
    /// It was stopped.
    Stopped,
    /// It does not have them, or could not be read: which, and what to say of it.
    Fault(FaultKind, String),
}

/// Reads the stored file at `key`, and compares it with its record.
pub(super) async fn compare(
    context: &Context,
    key: &Key,
    of_base: &Record,
    stop: &CancellationToken,
) -> Result<Compared> {
    let read = async {
        let object = (context.repository.sink())
            .get(key, GetOptions::default())
            .await?;
        read_digest(context, object.body, key, stop).await
    };
    let expected = (of_base.entry.size, of_base.entry.sha256);
    Ok(match read.await {
        Ok(Some((size, digest))) if (size, Some(digest)) == expected => Compared::Same,
        Ok(Some(_)) => Compared::Fault(FaultKind::Damaged, "does not have its SHA-256".to_owned()),
        Ok(None) => Compared::Stopped,
        Err(error) => {
            let (kind, detail) = fault_of(error, FaultKind::NotCompared)?;
            Compared::Fault(kind, detail)
        }
    })
}

/// What a fault of a stored file means: whether it is damaged, or else `otherwise`.
///
/// # Errors
/// Where the target gave no answer, which says nothing of the file.
pub(super) fn fault_of(error: CoreError, otherwise: FaultKind) -> Result<(FaultKind, String)> {
    match error.kind() {
        ErrorKind::NotFound => Ok((FaultKind::Damaged, "is missing".to_owned())),
        ErrorKind::Corrupt | ErrorKind::Invalid => Ok((
            FaultKind::Damaged,
            format!("can't be used ({})", error.detail()),
        )),
        ErrorKind::Archived
        | ErrorKind::PermissionDenied
        | ErrorKind::Changed
        | ErrorKind::Other
        | ErrorKind::Unsupported => Ok((otherwise, format!("can't be read ({})", error.detail()))),
        _ => Err(error.into()),
    }
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
