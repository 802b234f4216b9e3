//! Cancelling the operation that runs on this instance, in whatever process.
//!
//! An operation of another process is asked by a file in the state folder, `cancel-<operation
//! id>.json`. The process that runs it looks for that file twice a second.

use std::io::{ErrorKind as IoKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::operations::Origin;
use crate::operations::audit;
use crate::operations::instance_lock::InstanceLock;
use crate::operations::{ArcBackup, Operation, Running, Who};
use crate::repository::Holder;
use crate::{Error, Result};

/// How often a process looks whether its operation was cancelled by another.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often whoever cancelled an operation of another process looks whether it has ended.
const WAIT_INTERVAL: Duration = Duration::from_millis(100);
/// How long the last line of the history may take to appear, once the operation holds no lock.
const LAST_LINE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a lock is read whose holder has not yet written who it is, [`WAIT_INTERVAL`] apart.
const LOOKS: usize = 10;
/// The largest request that is read.
const LIMIT: u64 = 64 << 10;

/// What is written into the file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct CancelRequest {
    /// Who asks: the token's name, or the user's.
    actor: String,
    /// Where.
    origin: Origin,
    /// When.
    requested_at: Option<Timestamp>,
}

impl CancelRequest {
    /// The reason that the operation ends with.
    fn reason(&self) -> String {
        reason(&self.actor)
    }
}

fn reason(actor: &str) -> String {
    format!("cancelled by {actor}")
}

/// The file that asks an operation to end; `None` for an id that has no file's name.
fn request_path(folder: &Path, operation_id: &str) -> Option<PathBuf> {
    let is_id = !operation_id.is_empty()
        && operation_id.len() <= 64
        && (operation_id.bytes()).all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then(|| folder.join(format!("cancel-{operation_id}.json")))
}

/// Returns when another process cancels the operation, with the reason. Never returns where nobody
/// does.
pub(crate) async fn requested(folder: &Path, operation: &Operation) -> String {
    let Some(path) = request_path(folder, &operation.operation_id) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let looked_at = path.clone();
        // On a thread of its own: a disk that hangs must hold up nobody.
        let read = tokio::task::spawn_blocking(move || read(&looked_at)).await;
        if let Ok(Some(request)) = read {
            // Only now: whoever stopped waiting for the answer has left the request for the next to
            // look. One that stays is removed by the next operation.
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
    // Whoever may write here may cancel, whatever the file says.
    Some(
        serde_json::from_slice(&text).unwrap_or_else(|_| CancelRequest {
            actor: "unknown".to_owned(),
            ..CancelRequest::default()
        }),
    )
}

/// Writes a request. It is there as a whole, or not at all.
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

/// Removes requests to operations that have ended. With the instance's lock held.
pub(crate) fn remove_stale(folder: &Path, operation_id: &str) {
    let own = request_path(folder, operation_id);
    let Ok(files) = std::fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name();
        let is_request = name.to_str().is_some_and(|name| {
            name.starts_with("cancel-") && (name.ends_with(".json") || name.ends_with(".tmp"))
        });
        if is_request && Some(file.path()) != own {
            // The next operation tries again; it is a request to none.
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// An operation that was asked to end.
#[derive(Debug, Clone)]
pub struct Cancelling {
    /// `backup`, `restore`, …
    pub operation: String,
    /// Its id.
    pub operation_id: String,
    /// The backup that is made or read, where that is known.
    pub backup_id: Option<String>,
    /// Where it runs in this process.
    running: Option<Arc<Running>>,
}

/// What has become of an operation that was asked to end.
#[derive(Debug, Clone)]
pub enum AfterCancel {
    /// It goes on.
    GoesOn,
    /// It has ended, with this entry in the history. A sweep has none.
    Ended(Option<Box<Operation>>),
}

impl ArcBackup {
    /// Asks the operation to end that runs on this instance, in this process or another of this
    /// host; `None` where none runs.
    ///
    /// # Errors
    /// When the state folder can't be written, by which another process is asked.
    pub async fn cancel(&self, who: &Who) -> Result<Option<Cancelling>> {
        let own = self.current().filter(|running| !running.is_done());
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
            None => match self.instance_holder().await? {
                Some(holder) => {
                    self.ask_other(&holder, who)?;
                    Cancelling {
                        operation: holder.operation,
                        operation_id: holder.operation_id,
                        backup_id: holder.backup_id,
                        running: None,
                    }
                }
                None => return Ok(None),
            },
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

    /// Who holds the instance's lock, once it says so.
    async fn instance_holder(&self) -> Result<Option<Holder>> {
        for _ in 0..LOOKS {
            let Some(holder) = InstanceLock::holder(&self.lock_path()) else {
                return Ok(None);
            };
            if !holder.is_unknown() {
                return Ok(Some(holder));
            }
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
        Err(Error::Failed(format!(
            "`{}` does not say which process holds it: end that process itself",
            self.lock_path().display()
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

    /// Returns when an operation that was asked to end has ended, or after `timeout`.
    ///
    /// # Errors
    /// When the history can't be read.
    pub async fn ended(&self, cancelling: &Cancelling, timeout: Duration) -> Result<AfterCancel> {
        let until = Instant::now() + timeout;
        if let Some(running) = &cancelling.running {
            let ended = tokio::time::timeout_at(until, running.wait()).await;
            return Ok(match ended {
                Ok(operation) => AfterCancel::Ended(Some(Box::new(operation))),
                Err(_) => AfterCancel::GoesOn,
            });
        }
        let id = &cancelling.operation_id;
        let holds = || {
            InstanceLock::holder(&self.lock_path()).is_some_and(|holder| holder.operation_id == *id)
        };
        while holds() {
            if Instant::now() >= until {
                return Ok(AfterCancel::GoesOn);
            }
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
        // It may have ended without a look at the request.
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
                // Its process has died.
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

    /// What a lock's text names must not become a path elsewhere; and what nobody needs any more
    /// goes.
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
        for path in [&own, &stale] {
            write(path, &request).expect("room");
        }
        std::fs::write(folder.path().join("history.db"), b"").expect("room");
        remove_stale(folder.path(), "20260211-143022-5f0c1d2e");
        assert!(own.exists() && !stale.exists());
        assert!(folder.path().join("history.db").exists());
        assert_eq!(read(&own).expect("a request").reason(), "cancelled by ops");
        assert!(
            own.exists(),
            "whoever stops waiting leaves it to the next look"
        );
        let operation = Operation {
            operation_id: "20260211-143022-5f0c1d2e".to_owned(),
            ..Operation::default()
        };
        let reason = requested(folder.path(), &operation).await;
        assert_eq!(reason, "cancelled by ops");
        assert!(!own.exists(), "it is heeded once");
        assert!(read(&own).is_none());
    }
}
