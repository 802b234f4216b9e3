//! The report on the operation that holds the slot: who runs it, since when, and its progress.

use std::fmt;
use std::time::Duration;

use indicatif::HumanBytes;
use jiff::Timestamp;

use crate::operations::Phase;
use crate::operations::Status;
use crate::operations::{ArcBackup, Operation};
use crate::repository::Holder;
use crate::{Error, times};

/// Timeout for the look-up in the history: a busy answer takes less than a second.
const LOOKUP_TIMEOUT: Duration = Duration::from_millis(300);

/// The running operation that prevents another one from starting.
#[derive(Debug, Clone, PartialEq)]
pub struct Busy {
    /// Who runs it.
    pub holder: Holder,
    /// Its progress, if this instance knows it.
    pub progress: Option<Operation>,
    /// The latest time at which the target's lock expires if its holder is dead. Absent if the lock
    /// ends with its process, and if that process is known to be alive.
    pub lock_expires_at: Option<Timestamp>,
}

impl From<Holder> for Busy {
    fn from(holder: Holder) -> Self {
        Self {
            holder,
            progress: None,
            lock_expires_at: None,
        }
    }
}

impl From<Holder> for Error {
    fn from(holder: Holder) -> Self {
        Self::Busy(Box::new(holder.into()))
    }
}

impl Busy {
    /// Describes the lock of a target. `lock_expiry` is the time from the holder's last renewal to
    /// the expiry of the lock.
    pub(crate) fn for_target(holder: Holder, lock_expiry: Option<Duration>) -> Self {
        let is_alive = holder.is_alive();
        Self {
            lock_expires_at: lock_expiry
                .filter(|_| !is_alive)
                .and_then(|expiry| Timestamp::now().checked_add(expiry).ok()),
            ..holder.into()
        }
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.holder)?;
        let now = Timestamp::now();
        if let Some(started) = self.holder.started_at {
            write!(f, ", since {}", seconds(started))?;
            // The clock of another host may be ahead.
            if let Ok(age) = Duration::try_from(now.duration_since(started)) {
                write!(f, " ({} ago)", times::words(age))?;
            }
        }
        if let Some(progress) = self.progress.as_ref().and_then(progress) {
            write!(f, ", {progress}")?;
        }
        if let Some(expires) = self.lock_expires_at {
            let left = Duration::try_from(expires.duration_since(now)).unwrap_or_default();
            write!(
                f,
                "; if that process is dead, its lock is free by {} (in {})",
                seconds(expires),
                times::words(left)
            )?;
        }
        Ok(())
    }
}

/// The progress of an operation: `copying, 15 of 105 files, 1.00 MiB of 4.00 MiB (25%)`; `None` if
/// it has only just begun.
fn progress(operation: &Operation) -> Option<String> {
    if operation.total_files == 0 {
        return operation.phase.map(|phase| phase.to_string());
    }
    let (done, all) = match operation.total_bytes {
        0 => (operation.processed_files, operation.total_files),
        all => (operation.processed_bytes, all),
    };
    let percent = match all {
        0 => String::new(),
        // A percentage for people: a float is exact enough.
        all => format!(" ({:.0}%)", (done as f64 / all as f64 * 100.0).floor()),
    };
    Some(format!(
        "{}, {} of {} files, {} of {}{percent}",
        operation.phase.map_or("running", Phase::as_str),
        operation.processed_files,
        operation.total_files,
        HumanBytes(operation.processed_bytes),
        HumanBytes(operation.total_bytes),
    ))
}

/// The moment in RFC 3339, in whole seconds.
fn seconds(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl ArcBackup {
    /// Adds the progress of the running operation to [`Error::Busy`], if this instance runs it.
    /// Other errors are returned unchanged.
    pub(crate) async fn with_progress(&self, error: Error) -> Error {
        let Error::Busy(mut busy) = error else {
            return error;
        };
        if busy.progress.is_none() {
            let id = &busy.holder.operation_id;
            let own = (self.current().map(|running| running.snapshot()))
                .filter(|own| own.operation_id == *id);
            busy.progress = match own {
                Some(own) => Some(own),
                None => {
                    let lookup = self.history.get(id.clone());
                    let found = tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await;
                    found.ok().and_then(Result::ok).flatten()
                }
            };
            // Its progress is no longer of interest if it has ended meanwhile.
            busy.progress = (busy.progress).filter(|operation| operation.status == Status::Running);
        }
        Error::Busy(busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a wait of unknown length: the report says how far the other operation is.
    #[test]
    fn busy_says_since_when_how_far_and_when_the_lock_of_the_dead_is_free() {
        let mut holder = Holder::this("backup", "20260211-143022-5f0c1d2e");
        holder.started_at = Timestamp::now()
            .checked_sub(jiff::Span::new().seconds(125))
            .ok();
        let mut busy = Busy::for_target(holder.clone(), Some(Duration::from_secs(76)));
        assert_eq!(busy.lock_expires_at, None, "this very process lives");
        busy.progress = Some(Operation {
            phase: Some(Phase::Copying),
            total_files: 105,
            processed_files: 15,
            total_bytes: 4 << 20,
            processed_bytes: 1 << 20,
            ..Operation::default()
        });
        let said = busy.to_string();
        let wanted = "(2m 5s ago), copying, 15 of 105 files, 1.00 MiB of 4.00 MiB (25%)";
        assert!(said.ends_with(wanted), "{said}");
        holder.process = None;
        let said = Busy::for_target(holder, Some(Duration::from_secs(76))).to_string();
        assert!(said.contains("its lock is free by "), "{said}");
        assert!(said.contains("(in 1m 1"), "{said}");
    }
}
