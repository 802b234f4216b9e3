//! Attempts: an operation has an entry in the history even if it fails before it runs.
//!
//! A refused request is not an attempt: wrong use, an unknown id or target, a busy instance. It
//! changes neither the history nor the status.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::manifest::BackupId;
use crate::operations::audit;
use crate::operations::{ArcBackup, BackupOptions, PruneOptions, Request, Running, Who};
use crate::operations::{Operation, OperationKind, Origin, Status};
use crate::{Error, Result};

/// Timeout for writing the entry.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
/// The same timeout while the process shuts down.
const HURRIED_TIMEOUT: Duration = Duration::from_secs(2);

/// An operation that is about to begin.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The entry in the history.
    pub(crate) operation: Operation,
    pub(crate) started: Timestamp,
    /// The backup that the operation makes or reads. Of a prune, an id that no backup has.
    pub(crate) id: BackupId,
    /// Whether the slot was free for the operation.
    has_slot: AtomicBool,
    who: Who,
}

impl Attempt {
    pub(crate) fn new(engine: &ArcBackup, request: &Request, who: &Who) -> Result<Self> {
        let started = Timestamp::now();
        let operation_id = format!(
            "{}-{}",
            started.strftime("%Y%m%d-%H%M%S"),
            crate::random::random_hex::<4>()?
        );
        let default_target = &engine.settings.backup.default_target;
        let (id, target) = match request {
            Request::Backup(BackupOptions { target, id, .. }) => {
                let id = id.clone().map_or_else(|| BackupId::new(started), Ok)?;
                (id, Some(target.as_ref().unwrap_or(default_target)))
            }
            Request::Restore(id, _, target)
            | Request::Verify(id, _, target)
            | Request::Rehearse(id, _, target)
            | Request::Delete(id, target, _) => (id.clone(), target.as_ref()),
            Request::Copy(options) => (options.id.clone(), options.from.as_ref()),
            Request::Export(options) => (options.id.clone(), options.target.as_ref()),
            Request::Import(options) => {
                let target = options.target.as_ref().unwrap_or(default_target);
                (options.id.clone(), Some(target))
            }
            Request::Extract(options) => (options.id.clone(), options.target.as_ref()),
            Request::Undo(undo) => (undo.id.clone(), undo.target.as_ref()),
            // It is over many backups: this is an id that none of them has.
            Request::Prune(PruneOptions { target, .. }) => {
                let target = target.as_ref().unwrap_or(default_target);
                (BackupId::new(started)?, Some(target))
            }
        };
        let operation = Operation {
            operation: request.kind(),
            operation_id,
            backup_id: match request {
                Request::Prune(..) => String::new(),
                _ => id.to_string(),
            },
            target: target.cloned(),
            to_target: match request {
                Request::Copy(options) => Some(options.to.clone()),
                _ => None,
            },
            restored_to: match request {
                Request::Restore(_, options, _) => options.destination.place(),
                _ => None,
            },
            file: match request {
                Request::Export(options) => Some(options.to.to_string()),
                Request::Import(options) => Some(options.file.display().to_string()),
                Request::Extract(options) => Some(options.to.display().to_string()),
                _ => None,
            },
            undoes: match request {
                Request::Undo(undo) => Some(undo.operation_id.clone()),
                _ => None,
            },
            scope: request.databases(),
            selection: request.selection(),
            schedule: match request {
                Request::Backup(options) => options.schedule.clone(),
                _ => (who.origin == Origin::Schedule).then(|| who.actor.clone()),
            },
            started_at: started.to_string(),
            actor: who.actor.clone(),
            origin: who.origin,
            ..Operation::default()
        };
        Ok(Self {
            operation,
            started,
            id,
            has_slot: AtomicBool::new(false),
            who: Who {
                token: None,
                ..who.clone()
            },
        })
    }

    /// Notes that the slot was free. From now on a failure is recorded.
    pub(crate) fn has_slot(&self) {
        self.has_slot.store(true, Ordering::Relaxed);
    }
}

impl ArcBackup {
    /// Records a failed attempt, but not a refused request. If the history cannot be written, this
    /// process still shows the failure in its status.
    pub(crate) async fn record_attempt(&self, attempt: Attempt, error: &Error, status: Status) {
        if error.is_refusal() || !attempt.has_slot.load(Ordering::Relaxed) {
            return;
        }
        let ended = Operation {
            status,
            completed_at: Some(Timestamp::now().to_string()),
            error: Some(error.to_string()),
            ..attempt.operation
        };
        self.record_ended(ended, attempt.started, attempt.who).await;
    }

    /// Whether an operation of this kind would not begin anyway, as another one runs.
    fn is_refused(&self, kind: OperationKind) -> bool {
        !kind.is_reader() && self.busy().is_some()
    }

    async fn record_ended(&self, ended: Operation, started: Timestamp, who: Who) {
        audit::ended(&ended);
        let own = Running::new(ended.clone(), started, who);
        own.finish();
        self.running.add_ended(own);
        let timeout = match self.ending.is_cancelled() {
            true => HURRIED_TIMEOUT,
            false => RECORD_TIMEOUT,
        };
        match tokio::time::timeout(timeout, self.history.write(ended)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot record a failed attempt in the history");
            }
            Err(_) => tracing::warn!(
                "cannot record a failed attempt in the history: another process holds it"
            ),
        }
    }

    /// Records that a request failed before [`start`](Self::start) was called: a command looks for
    /// the backup before it asks its user. A refused request is not recorded.
    pub async fn record_failure(&self, request: &Request, who: &Who, error: &Error) {
        if self.is_refused(request.kind()) {
            return;
        }
        if let Ok(attempt) = Attempt::new(self, request, who) {
            attempt.has_slot();
            // Before the start, only a signal cancels a look-up.
            let status = match error.is_cancelled() {
                true => Status::Cancelled,
                false => Status::Failed,
            };
            self.record_attempt(attempt, error, status).await;
        }
    }

    /// Records an operation whose backup could not be determined, such as `latest` in a target that
    /// does not answer. The entry has no backup id.
    pub async fn record_unresolved(
        &self,
        operation: OperationKind,
        target: Option<&str>,
        who: Who,
        error: &Error,
    ) {
        if error.is_refusal() || self.is_refused(operation) {
            return;
        }
        let started = Timestamp::now();
        let Ok(random) = crate::random::random_hex::<4>() else {
            return;
        };
        let status = match error.is_cancelled() {
            true => Status::Cancelled,
            false => Status::Failed,
        };
        let ended = Operation {
            operation,
            operation_id: format!("{}-{random}", started.strftime("%Y%m%d-%H%M%S")),
            target: target.map(str::to_owned),
            status,
            started_at: started.to_string(),
            completed_at: Some(Timestamp::now().to_string()),
            error: Some(error.to_string()),
            actor: who.actor.clone(),
            origin: who.origin,
            ..Operation::default()
        };
        self.record_ended(ended, started, who).await;
    }
}
