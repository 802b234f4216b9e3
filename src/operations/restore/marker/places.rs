//! Where a restore marker lies: in the state folder, and beside the data.
//!
//! A state folder may be lost with its container, while the partly restored data stays. So the
//! marker of a restore that changes live data lies in both places, and counts in either.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_backup_core::{
    BlockingJob, Error as CoreError, ErrorKind, GetOptions, Key, Purpose, Sink, WriteOptions,
};
use jiff::Timestamp;

use crate::files::{is_mount_point, temporary_of, with_suffix, write_atomically};
use crate::operations::RestoreInProgress;
use crate::operations::restore::in_progress::APPLYING;
use crate::{Error, Result};

/// Behind the name of the storage root, for a marker beside it.
const BESIDE: &str = ".arc-backup-restore.json";
/// In a store, in the tool's own folder, which no listing of the data has.
const IN_STORE: &str = "restore-in-progress.json";
/// The phase of a marker that could not be removed, and no longer counts.
const ENDED: &str = "ended";
/// The largest marker that is read.
const LIMIT: u64 = 1 << 20;

/// Reads a marker of a restore that has begun to change live data. One that can't be read counts as
/// one.
pub(crate) fn parse(
    text: std::result::Result<Vec<u8>, String>,
    place: &str,
    written: Option<Timestamp>,
) -> Option<RestoreInProgress> {
    let read = text.and_then(|text| {
        let marker: RestoreInProgress =
            serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        // They name folders that are removed.
        let is_id = |id: &str| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let earlier = (marker.earlier.iter()).all(|run| is_id(&run.operation_id));
        match earlier && is_id(&marker.operation_id) {
            true => Ok(marker),
            false => Err("invalid operation id".to_owned()),
        }
    });
    let marker = read.unwrap_or_else(|reason| RestoreInProgress::unknown(place, written, &reason));
    (marker.phase == APPLYING).then_some(marker)
}

/// The marker in the file `path`.
pub(crate) fn read_file(path: &Path) -> Option<RestoreInProgress> {
    let text = match std::fs::read(path) {
        Err(error) if matches!(error.kind(), IoKind::NotFound | IoKind::NotADirectory) => {
            return None;
        }
        read => read.map_err(|error| error.to_string()),
    };
    let written = (std::fs::metadata(path).and_then(|meta| meta.modified()))
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok());
    parse(text, &format!("`{}`", path.display()), written)
}

/// Removes the file `path`; an absent one is not an error, also on a read-only mount, which reports
/// that first.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    let is_absent =
        |error: &std::io::Error| matches!(error.kind(), IoKind::NotFound | IoKind::NotADirectory);
    match std::fs::remove_file(path) {
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => match std::fs::symlink_metadata(path) {
            Err(absent) if is_absent(&absent) => Ok(()),
            _ => Err(Error::io("remove", path, error)),
        },
        Ok(()) => Ok(()),
    }
}

/// The place beside the data.
pub(crate) struct BesideData<'a>(pub(crate) &'a Arc<dyn Sink>);

impl BesideData<'_> {
    /// The marker there. An error says that the storage does not answer.
    pub(crate) async fn read(&self) -> std::result::Result<Option<RestoreInProgress>, CoreError> {
        if let Some(root) = self.0.properties().local_path {
            // On a thread of its own: a disk that hangs must not block the others.
            let read = tokio::task::spawn_blocking(move || {
                places(&root).iter().find_map(|path| read_file(path))
            });
            return read.await.map_err(|error| {
                CoreError::new(ErrorKind::Other, "read", IN_STORE, error.to_string())
            });
        }
        let key = key();
        let object = match self.0.get(&key, GetOptions::default()).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            object => object?,
        };
        let written = (object.meta.modified).and_then(|time| Timestamp::try_from(time).ok());
        let text = match object.body.collect(LIMIT, &key).await {
            Err(error) if error.is_retryable() => return Err(error),
            read => read.map_err(|error| error.to_string()),
        };
        let place = format!("`{key}` in {}", self.0.location());
        Ok(parse(text, &place, written))
    }

    /// Writes it there, where there is any data.
    pub(crate) async fn write(&self, text: &[u8]) -> Result<()> {
        if let Some(root) = self.0.properties().local_path {
            let (text, job) = (text.to_vec(), BlockingJob::begin());
            let written = tokio::task::spawn_blocking(move || {
                let _job = job;
                write_local(&root, &text)
            });
            return written.await?;
        }
        let options = WriteOptions {
            size_hint: Some(text.len() as u64),
            purpose: Purpose::Control,
            durable: true,
            ..WriteOptions::default()
        };
        let mut upload = self.0.begin(&key(), options).await?;
        upload.write(text.to_vec().into()).await?;
        upload.commit().await?;
        Ok(())
    }

    /// Removes it; an absent one is not an error.
    pub(crate) async fn remove(&self) -> Result<()> {
        match self.0.properties().local_path {
            Some(root) => places(&root).iter().try_for_each(|path| {
                // Left by a process that was killed while it wrote the marker.
                remove_file(&temporary_of(path))?;
                remove_file(path)
            }),
            None => match self.0.delete(&[key()]).await {
                // Without the right to delete, the marker is overwritten by one that does not
                // count.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    let none = serde_json::json!({"phase": ENDED, "operation_id": "none", "backup_id": "none", "written_at": ""});
                    self.write(none.to_string().as_bytes()).await
                }
                removed => Ok(removed?),
            },
        }
    }
}

fn key() -> Key {
    crate::repository::own(IN_STORE)
}

/// Beside the root, and, for a root that is a volume of its own or whose parent folder can't be
/// written, in it. The better place comes first: a file beside a volume is as easily lost as the
/// state folder.
fn places(root: &Path) -> [PathBuf; 2] {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let (beside, inside) = (with_suffix(&real, BESIDE), real.join(BESIDE));
    match is_mount_point(&real) {
        true => [inside, beside],
        false => [beside, inside],
    }
}

fn write_local(root: &Path, text: &[u8]) -> Result<()> {
    if !root.is_dir() {
        return Ok(());
    }
    let [best, other] = places(root);
    let Err(error) = write_atomically(&best, text) else {
        return match best == other {
            true => Ok(()),
            // The marker of an earlier run, from before a volume was mounted here.
            false => remove_file(&other),
        };
    };
    write_atomically(&other, text).map_err(|_| error.into())
}
