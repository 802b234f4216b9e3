//! What every request may use.

use std::sync::Arc;
use std::time::Duration;

use super::idempotency::KeysInUse;
use super::schema::Schema;
use super::waiting::WaitLimit;
use crate::auth::Authenticator;
use crate::operations::ArcBackup;
use crate::schedule::Scheduler;

/// The engine, and the state that requests have in common.
pub(super) struct Shared {
    pub(super) engine: Arc<ArcBackup>,
    /// The schedules of this service.
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) authenticator: Arc<Authenticator>,
    /// The document that requests are checked against.
    pub(super) schema: Arc<Schema>,
    /// How long the answer to a deletion waits until the deletion has ended.
    pub(super) delete_wait: Duration,
    /// The keys of requests that are being answered.
    pub(super) keys: KeysInUse,
    /// The answers that wait until an operation has ended.
    pub(super) waiting: WaitLimit,
}
