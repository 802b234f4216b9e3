//! Cancelling an operation that runs on this instance, in any process.
//!
//! The request to another process is a file in the state folder, `cancel-<operation id>.json`. The
//! process that runs the operation looks for this file twice a second.

use std::io::{ErrorKind as IoKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::operations::Origin;
use crate::operations::audit;
use crate::operations::{ArcBackup, Operation, Running, Who};
use crate::repository::Holder;
use crate::{Error, Result};

/// How often a process looks for a request to cancel its operation.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How often the cancelling process checks for the end of the operation.
const WAIT_INTERVAL: Duration = Duration::from_millis(100);
/// Timeout for the last entry in the history, after the lock is released.
const LAST_LINE_TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts to read the holder of a lock, [`WAIT_INTERVAL`] apart: a new holder may not have
/// written its name yet.
const MAX_ATTEMPTS: usize = 10;
/// The maximum size of a request in bytes.
const LIMIT: u64 = 64 << 10;

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CancelRequest {
    /// Who cancels: the name of the token or of the user.
    actor: String,
    /// The interface of the request.
    origin: Origin,
    /// When it was requested.
    requested_at: Option<Timestamp>,
}

impl CancelRequest {
    /// Returns the reason for the operation's error.
    fn reason(&self) -> String {
        reason(&self.actor)
    }
}

fn reason(actor: &str) -> String {
    format!("cancelled by {actor}")
}

/// Returns the path of the request; `None` for an invalid operation id.
fn request_path(folder: &Path, operation_id: &str) -> Option<PathBuf> {
    let is_id = !operation_id.is_empty()
        && operation_id.len() <= 64
        && (operation_id.bytes()).all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then(|| folder.join(format!("cancel-{operation_id}.json")))
}

/// Waits for a request to cancel the operation, and returns the reason. Without a request it never
/// returns.
pub(crate) async fn requested(folder: &Path, operation: &Operation) -> String {
    let Some(path) = request_path(folder, &operation.operation_id) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        let looked_at = path.clone();
        // On a blocking thread: the disk may hang.
        let read = tokio::task::spawn_blocking(move || read(&looked_at)).await;
        if let Ok(Some(request)) = read {
            // Not removed by the read: if the caller stops waiting, the next call finds the request
            // again. The next operation removes a stale one.
            let _ = std::fs::remove_file(&path);
            audit::cancel_requested(
                operation.operation.as_str(),
                &operation.operation_id,
                Some(operation.backup_id.as_str()).filter(|id| !id.is_empty()),
                &request.actor,
                request.origin,
            );
            return request.reason();
        }
    }
}

/// Reads a request.
fn read(path: &Path) -> Option<CancelRequest> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(LIMIT).read_to_end(&mut text).ok()?;
    // Anybody who may write here may cancel, even with an invalid file.
    Some(
        serde_json::from_slice(&text).unwrap_or_else(|_| CancelRequest {
            actor: "unknown".to_owned(),
            ..CancelRequest::default()
        }),
    )
}

/// Writes a request atomically.
fn write(path: &Path, request: &CancelRequest) -> std::io::Result<()> {
    let text = serde_json::to_vec(request).expect("plain data is valid JSON");
    let temporary = path.with_extension("tmp");
    let mut file = crate::files::create_file(&temporary)?;
    let written = (file.write_all(&text)).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Removes requests to ended operations. The caller holds the instance's lock: besides it, only
/// those run of whose id `runs` says so.
pub(crate) fn remove_stale(folder: &Path, operation_id: &str, runs: impl Fn(&str) -> bool) {
    let Ok(files) = std::fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name();
        let id = name.to_str().and_then(|name| {
            let name = name.strip_prefix("cancel-")?;
            name.strip_suffix(".json").or(name.strip_suffix(".tmp"))
        });
        if id.is_some_and(|id| id != operation_id && !runs(id)) {
            // A stale request has no effect; the next operation attempts it again.
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// An operation that was cancelled and may still be running.
#[derive(Debug, Clone)]
pub struct Cancelling {
    /// The kind: `backup`, `restore`, …
    pub operation: String,
    /// Its id.
    pub operation_id: String,
    /// The backup that is made or read, if it is known.
    pub backup_id: Option<String>,
    /// The operation, if it runs in this process.
    running: Option<Arc<Running>>,
}

/// The state of a cancelled operation after the wait.
#[derive(Debug, Clone)]
pub enum AfterCancel {
    /// It is still running.
    StillRunning,
    /// It has ended, with this entry in the history; `None` for a sweep.
    Ended(Option<Box<Operation>>),
}

impl ArcBackup {
    /// Cancels an operation that runs on this instance, in this process or another one on this
    /// host: that of this id, or without one that which writes, or else the only one that runs.
    /// Returns `None` if it, or any operation, is not running.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the operations that run, if none of them writes and there are
    /// several. Fails if the request to another process cannot be written to the state folder.
    pub async fn cancel(
        &self,
        who: &Who,
        operation_id: Option<&str>,
    ) -> Result<Option<Cancelling>> {
        let Some((own, holder)) = self.to_cancel(operation_id).await? else {
            return Ok(None);
        };
        let cancelling = match own {
            Some(running) => {
                let operation = running.snapshot();
                running.cancel(&reason(&who.actor));
                Cancelling {
                    operation: operation.operation.to_string(),
                    operation_id: operation.operation_id,
                    backup_id: Some(operation.backup_id),
                    running: Some(running),
                }
            }
            None => {
                self.ask_other(&holder, who)?;
                Cancelling {
                    operation: holder.operation,
                    operation_id: holder.operation_id,
                    backup_id: holder.backup_id,
                    running: None,
                }
            }
        };
        audit::cancel_requested(
            &cancelling.operation,
            &cancelling.operation_id,
            cancelling.backup_id.as_deref(),
            &who.actor,
            who.origin,
        );
        Ok(Some(cancelling))
    }

    /// Chooses the operation to cancel: who runs it, and the operation itself if that is this
    /// process.
    async fn to_cancel(
        &self,
        operation_id: Option<&str>,
    ) -> Result<Option<(Option<Arc<Running>>, Holder)>> {
        let own = |holder: Holder| {
            let running = self.running.get(&holder.operation_id);
            (running.filter(|running| !running.is_done()), holder)
        };
        if let Some(id) = operation_id {
            let running = self.running.get(id).filter(|running| !running.is_done());
            if let Some(running) = running {
                return Ok(Some(own(running.holder())));
            }
            if let Some(holder) = self.slots.readers.holder(id) {
                return Ok(Some(own(holder)));
            }
            let writer = self.instance_holder().await?;
            return Ok(writer.filter(|holder| holder.operation_id == id).map(own));
        }
        if let Some(running) = self.running.writer() {
            return Ok(Some(own(running.holder())));
        }
        if let Some(holder) = self.instance_holder().await? {
            return Ok(Some(own(holder)));
        }
        let mut readers = self.under_way();
        match readers.len() {
            0 | 1 => Ok(readers.pop().map(own)),
            _ => Err(Error::Invalid(format!(
                "several operations are running, name one of them: {}",
                (readers.iter())
                    .map(|one| format!("{} {}", one.operation, one.operation_id))
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    }

    /// Returns the holder of the instance's lock, and waits for its name.
    async fn instance_holder(&self) -> Result<Option<Holder>> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(holder) = self.slots.writer() else {
                return Ok(None);
            };
            if !holder.is_unknown() {
                return Ok(Some(holder));
            }
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
        Err(Error::Failed(format!(
            "`{}` does not name the process that holds it: end that process with SIGTERM",
            self.slots.lock_path().display()
        )))
    }

    fn ask_other(&self, holder: &Holder, who: &Who) -> Result<()> {
        let folder = self.settings.backup.state_folder();
        let request = CancelRequest {
            actor: who.actor.clone(),
            origin: who.origin,
            requested_at: Some(Timestamp::now()),
        };
        let written = match request_path(folder, &holder.operation_id) {
            Some(path) => write(&path, &request),
            None => Err(IoKind::InvalidInput.into()),
        };
        written.map_err(|error| {
            let error = arc_backup_core::Error::from_io(
                "write the request to cancel into",
                folder.display().to_string(),
                error,
            );
            Error::Storage(error).context(format!(
                "run `arc-backup cancel` as the user of process {}, or end that process with SIGTERM",
                holder.pid
            ))
        })
    }

    /// Waits for the end of a cancelled operation, for at most `timeout`.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn ended(&self, cancelling: &Cancelling, timeout: Duration) -> Result<AfterCancel> {
        let until = Instant::now() + timeout;
        if let Some(running) = &cancelling.running {
            let ended = tokio::time::timeout_at(until, running.wait()).await;
            return Ok(match ended {
                Ok(operation) => AfterCancel::Ended(Some(Box::new(operation))),
                Err(_) => AfterCancel::StillRunning,
            });
        }
        let id = &cancelling.operation_id;
        let holds = || {
            let writes = |holder: Holder| holder.operation_id == *id;
            self.slots.readers.is_held(id) || self.slots.writer().is_some_and(writes)
        };
        while holds() {
            if Instant::now() >= until {
                return Ok(AfterCancel::StillRunning);
            }
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
        // The operation may have ended without reading the request.
        if let Some(path) = request_path(self.settings.backup.state_folder(), id) {
            let _ = std::fs::remove_file(path);
        }
        let until = Instant::now() + LAST_LINE_TIMEOUT;
        loop {
            let entry = self.history.get(id.clone()).await?;
            if entry
                .as_ref()
                .is_none_or(|entry| entry.completed_at.is_some())
            {
                return Ok(AfterCancel::Ended(entry.map(Box::new)));
            }
            if Instant::now() >= until {
                // The process has died.
                let entry = self.operation(id).await?;
                return Ok(AfterCancel::Ended(entry.map(Box::new)));
            }
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a path outside the state folder, and against stale requests.
    #[tokio::test]
    async fn requests_lie_in_the_state_folder_and_stale_ones_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |id: &str| request_path(folder.path(), id);
        for id in ["", "../x", "a/b", "a.b", &"a".repeat(65)] {
            assert_eq!(at(id), None, "{id:?}");
        }
        let request = CancelRequest {
            actor: "ops".to_owned(),
            ..CancelRequest::default()
        };
        let own = at("20260211-143022-5f0c1d2e").expect("a path");
        let stale = at("20260210-143022-5f0c1d2e").expect("a path");
        let other = at("20260209-143022-5f0c1d2e").expect("a path");
        for path in [&own, &stale, &other] {
            write(path, &request).expect("room");
        }
        std::fs::write(folder.path().join("history.db"), b"").expect("room");
        let runs = |id: &str| id == "20260209-143022-5f0c1d2e";
        remove_stale(folder.path(), "20260211-143022-5f0c1d2e", runs);
        assert!(own.exists() && other.exists() && !stale.exists());
        assert!(folder.path().join("history.db").exists());
        assert_eq!(read(&own).expect("a request").reason(), "cancelled by ops");
        assert!(
            own.exists(),
            "a caller that stops waiting leaves it to the next one"
        );
        let operation = Operation {
            operation_id: "20260211-143022-5f0c1d2e".to_owned(),
            ..Operation::default()
        };
        let reason = requested(folder.path(), &operation).await;
        assert_eq!(reason, "cancelled by ops");
        assert!(!own.exists(), "it is used once");
        assert!(read(&own).is_none());
    }
}
