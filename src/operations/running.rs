//! An operation while it runs, and afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::operations::{Operation, OperationKind, Origin, Phase, Status};
use crate::pipeline::Progress;
use crate::secret::Secret;

/// Who requested an operation.
#[derive(Debug, Clone)]
pub struct Who {
    /// The name of the token or of the user.
    pub actor: String,
    /// The interface of the request.
    pub origin: Origin,
    /// The SHA-256 of the token. The token may read the status until the end, even if a restored
    /// database no longer contains it.
    pub fingerprint: Option<[u8; 32]>,
    /// The token itself, for requests to Arc; only while the operation runs.
    pub token: Option<Secret>,
}

/// Why an operation ends before it is done.
#[derive(Debug, Clone)]
enum Reason {
    /// Somebody cancelled it.
    Request(String),
    /// It cannot continue.
    Fault(String),
}

/// An operation that runs or ran in this process.
#[derive(Debug)]
pub struct Running {
    operation: Mutex<Operation>,
    kind: OperationKind,
    operation_id: String,
    started: Timestamp,
    /// Who requested it.
    pub who: Who,
    /// Its progress.
    pub progress: Arc<Progress>,
    /// Cancels it.
    pub cancel: CancellationToken,
    reason: Mutex<Option<Reason>>,
    /// When it was first cancelled.
    cancelled_at: OnceLock<Instant>,
    /// Whether its backup is published, even if the rest fails.
    published: AtomicBool,
    done: CancellationToken,
    failure: OnceLock<Error>,
}

impl Running {
    pub(crate) fn new(operation: Operation, started: Timestamp, who: Who) -> Arc<Self> {
        Arc::new(Self {
            kind: operation.operation,
            operation_id: operation.operation_id.clone(),
            operation: Mutex::new(operation),
            started,
            who,
            progress: Arc::default(),
            cancel: CancellationToken::new(),
            reason: Mutex::default(),
            cancelled_at: OnceLock::new(),
            published: AtomicBool::new(false),
            done: CancellationToken::new(),
            failure: OnceLock::new(),
        })
    }

    /// Returns the kind of the operation.
    pub(crate) fn kind(&self) -> OperationKind {
        self.kind
    }

    /// Returns the id of the operation.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        &self.operation_id
    }

    /// Returns when it began.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    /// Changes the status.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Operation)) {
        change(
            &mut self
                .operation
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.progress.activity().note();
        self.update(|operation| operation.phase = Some(phase));
    }

    /// Returns the current state of the operation.
    #[must_use]
    pub fn snapshot(&self) -> Operation {
        let mut operation = self
            .operation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let [total_files, total_bytes, files, bytes] = self.progress.counts();
        operation.total_files = total_files;
        operation.total_bytes = total_bytes;
        operation.processed_files = files;
        operation.processed_bytes = bytes;
        if operation.status == Status::Running {
            let seconds = Timestamp::now().duration_since(self.started).as_secs_f64();
            if bytes > 0 && seconds > 0.0 {
                let rate = bytes as f64 / seconds;
                // Estimates for people: a float is exact enough and cannot overflow.
                operation.bytes_per_second = Some(rate as u64);
                operation.eta_seconds =
                    Some((total_bytes.saturating_sub(bytes) as f64 / rate).ceil() as u64);
            }
        }
        operation
    }

    /// Cancels the operation: its status becomes [`Status::Cancelled`].
    pub fn cancel(&self, reason: &str) {
        self.end(Reason::Request(reason.to_owned()));
    }

    /// Ends the operation because it cannot continue: its status becomes [`Status::Failed`].
    pub(crate) fn fail(&self, reason: &str) {
        self.end(Reason::Fault(reason.to_owned()));
    }

    fn end(&self, reason: Reason) {
        self.reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(reason);
        let _ = self.cancelled_at.set(Instant::now());
        self.cancel.cancel();
    }

    fn reason(&self) -> Option<Reason> {
        self.reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn cancel_reason(&self) -> Option<String> {
        self.reason()
            .map(|(Reason::Request(text) | Reason::Fault(text))| text)
    }

    /// Returns the status of an operation that ends with this error.
    pub(crate) fn status_of(&self, error: &Error) -> Status {
        match (error.root(), self.reason()) {
            (Error::Cancelled(_), Some(Reason::Request(_))) => Status::Cancelled,
            _ => Status::Failed,
        }
    }

    /// Notes that the backup is published.
    pub(crate) fn publish(&self) {
        self.published.store(true, Ordering::SeqCst);
    }

    /// Whether the backup is published.
    pub(crate) fn is_published(&self) -> bool {
        self.published.load(Ordering::SeqCst)
    }

    /// Returns when it was first cancelled; now, if it was not.
    pub(crate) fn cancelled_at(&self) -> Instant {
        *self.cancelled_at.get_or_init(Instant::now)
    }

    /// Records why it failed.
    pub(crate) fn set_failure(&self, error: Error) {
        let _ = self.failure.set(error);
    }

    /// Returns why it failed; `None` if it did not.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    pub(crate) fn finish(&self) {
        self.done.cancel();
    }

    /// Waits for the end, and returns the final state.
    pub async fn wait(&self) -> Operation {
        self.done.cancelled().await;
        self.snapshot()
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done.is_cancelled()
    }
}
