//! Copies that follow a backup: to each of several targets, one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::manifest::BackupId;
use crate::operations::copy::options::CopyOptions;
use crate::operations::{ArcBackup, Operation, Request, Running, Status, Who};
use crate::{Error, Result};

/// How long a copy waits for the operation that runs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3600);
/// How often it tries.
const INTERVAL: Duration = Duration::from_secs(1);

/// What became of the copy to one target.
#[derive(Debug)]
pub struct CopyOutcome {
    /// The target.
    pub target: String,
    /// The operation that was to copy it, as it ended; an error where it could not begin.
    pub operation: Result<Operation>,
}

impl CopyOutcome {
    /// Whether the target holds the backup now.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(&self.operation, Ok(operation) if operation.status == Status::Completed)
    }

    /// Why it does not; `None` where it does.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        match &self.operation {
            Ok(operation) => operation.error.clone(),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Copies a backup from the target `from` to each of the others, one after the other. A target that
/// is down is an outcome like any other, and the next one gets its copy. Whether a copy that failed
/// is tried again is for the caller: a later one goes on with what this one has stored.
///
/// Each copy is an operation of its own in the history. It waits for an operation that runs.
pub async fn copy_to_all(
    engine: &Arc<ArcBackup>,
    id: &BackupId,
    from: Option<&str>,
    targets: &[String],
    who: &Who,
) -> Vec<CopyOutcome> {
    let mut outcomes = Vec::new();
    for target in targets {
        let options = CopyOptions::new(id.clone(), target).from(from.map(str::to_owned));
        let operation = match start(engine, options, who).await {
            Ok(running) => Ok(running.wait().await),
            Err(error) => Err(error),
        };
        let outcome = CopyOutcome {
            target: target.clone(),
            operation,
        };
        if let Some(error) = outcome.error() {
            tracing::warn!(backup = %id, target, error, "the backup was made, and not copied");
        }
        outcomes.push(outcome);
    }
    outcomes
}

/// Starts a copy, as soon as no other operation runs.
async fn start(engine: &Arc<ArcBackup>, options: CopyOptions, who: &Who) -> Result<Arc<Running>> {
    let until = Instant::now() + BUSY_TIMEOUT;
    loop {
        let started = engine
            .start(Request::Copy(options.clone()), who.clone())
            .await;
        match started {
            Err(Error::Busy(busy)) => {
                if Instant::now() >= until || engine.is_closing() {
                    return Err(Error::Busy(busy));
                }
            }
            started => return started,
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl ArcBackup {
    /// The targets that a backup in the target `own` is copied to when it has been made: `wanted`,
    /// or else those of `arc_backup.copy_to`, and never its own.
    ///
    /// # Errors
    /// [`Error::Invalid`] names a target that is wanted and unknown, or is the backup's own.
    pub fn copy_targets(
        &self,
        own: Option<&str>,
        wanted: Option<Vec<String>>,
    ) -> Result<Vec<String>> {
        let own = self.repository(own)?.name();
        let is_asked_for = wanted.is_some();
        let mut targets: Vec<String> = Vec::new();
        for name in wanted.unwrap_or_else(|| self.settings.backup.copy_to.clone()) {
            let name = self.repository(Some(&name))?.name();
            if name == own && is_asked_for {
                return Err(Error::Invalid(format!(
                    "the backup is made in target {name:?}: it cannot be copied there as well (`copy_to`, --copy-to)"
                )));
            }
            if name != own && !targets.iter().any(|one| one == name) {
                targets.push(name.to_owned());
            }
        }
        Ok(targets)
    }

    /// Waits until a backup has ended, and copies it to these targets where it was made.
    pub async fn copy_after(self: &Arc<Self>, backup: &Running, targets: &[String], who: &Who) {
        let ended = backup.wait().await;
        if ended.status != Status::Completed || targets.is_empty() {
            return;
        }
        let Ok(id) = BackupId::parse(&ended.backup_id) else {
            return;
        };
        // The legs of a backup over several targets are found together.
        let from = ended.target.as_deref().filter(|_| ended.targets.is_empty());
        copy_to_all(self, &id, from, targets, who).await;
    }
}
