//! Attempts: an operation has an entry in the history even where it fails before it runs.
//!
//! What refuses a request is an answer and no attempt: wrong use, an unknown id or target, and
//! busy. Such a request leaves the history and the status as they are.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::manifest::BackupId;
use crate::operations::audit;
use crate::operations::{ArcBackup, Request, Running, Who};
use crate::operations::{Operation, OperationKind, Status};
use crate::{Error, Result};

/// How long the entry may take.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take where the process is asked to end.
const HURRIED_TIMEOUT: Duration = Duration::from_secs(2);

/// An operation that is about to begin.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What the history says of it.
    pub(crate) operation: Operation,
    pub(crate) started: Timestamp,
    /// The backup that is made or read.
    pub(crate) id: BackupId,
    /// Whether the slot was free for it.
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
            Request::Backup { target, id, .. } => {
                let id = id.clone().map_or_else(|| BackupId::new(started), Ok)?;
                (id, Some(target.as_ref().unwrap_or(default_target)))
            }
            Request::Restore(id, _, target)
            | Request::Verify(id, _, target)
            | Request::Delete(id, target) => (id.clone(), target.as_ref()),
        };
        let operation = Operation {
            operation: request.kind(),
            operation_id,
            backup_id: id.to_string(),
            target: target.cloned(),
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

    /// Notes that the slot was free: what fails from now on is recorded.
    pub(crate) fn has_slot(&self) {
        self.has_slot.store(true, Ordering::Relaxed);
    }
}

impl ArcBackup {
    /// Records that an attempt has failed, where it is one. What can't be written is known to this
    /// process all the same.
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

    async fn record_ended(&self, ended: Operation, started: Timestamp, who: Who) {
        audit::ended(&ended);
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            // Another one may have begun since.
            if current.as_ref().is_none_or(|running| running.is_done()) {
                let own = Running::new(ended.clone(), started, who);
                own.finish();
                *current = Some(own);
            }
        }
        let timeout = match self.ending.is_cancelled() {
            true => HURRIED_TIMEOUT,
            false => RECORD_TIMEOUT,
        };
        match tokio::time::timeout(timeout, self.history.write(ended)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a failed attempt is not kept in the history"),
            Err(_) => tracing::warn!(
                "a failed attempt is not kept in the history: another process holds it"
            ),
        }
    }

    /// Records that a request failed before it came to [`start`](Self::start): a command looks for
    /// the backup before it asks its user. Records nothing for what only refuses the request.
    pub async fn record_failure(&self, request: &Request, who: &Who, error: &Error) {
        // Beside an operation that runs, a failed look-up would be shown in its place.
        if self.busy().is_some() {
            return;
        }
        if let Ok(attempt) = Attempt::new(self, request, who) {
            attempt.has_slot();
            // Of what is looked for before a start, only a signal cancels it.
            let status = match error.is_cancelled() {
                true => Status::Cancelled,
                false => Status::Failed,
            };
            self.record_attempt(attempt, error, status).await;
        }
    }

    /// Records that the backup of an operation was not found out, as of `latest` in a target that
    /// gives no answer. Which it would have been is not known: the entry has no backup id.
    pub async fn record_unresolved(
        &self,
        operation: OperationKind,
        target: Option<&str>,
        who: Who,
        error: &Error,
    ) {
        if error.is_refusal() || self.busy().is_some() {
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
