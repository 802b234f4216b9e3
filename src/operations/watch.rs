//! The tasks beside a running operation: watching it, and recording its progress.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_backup_core::LockGuard;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::operations::cancel;
use crate::operations::history::History;
use crate::operations::lock_watch;
use crate::operations::running::Running;
use crate::operations::stall::StallWatch;
use crate::operations::time_limit::TimeAllowed;
use crate::repository::Repository;

/// How often a running operation is written to the history, for other processes.
const HISTORY_INTERVAL: Duration = Duration::from_secs(1);
/// How often a running operation is checked.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Writes the progress of a running operation to the history, for other processes.
pub(crate) async fn record(history: History, running: Arc<Running>, ended: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = ended.cancelled() => return,
            () = tokio::time::sleep(HISTORY_INTERVAL) => {}
        }
        if let Err(error) = history.write(running.snapshot()).await {
            tracing::warn!(%error, "cannot record progress in the history");
        }
    }
}

/// Watches a running operation: its lock, its time limit, its progress, and requests to cancel it.
pub(crate) async fn watch(
    settings: Arc<Settings>,
    repository: Repository,
    lock: Option<Arc<dyn LockGuard>>,
    running: Arc<Running>,
    allowed: TimeAllowed,
    ended: CancellationToken,
) {
    let is_hung = AtomicBool::new(false);
    let time = async {
        let mut stall = StallWatch::new(settings.backup.stall_timeout);
        loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => return,
                () = tokio::time::sleep(WATCH_INTERVAL) => {}
            }
            if allowed.is_over() {
                running.fail(&format!("it took longer than {allowed}"));
            }
            stall.check(&running, &is_hung);
        }
    };
    let every = lock_watch::interval_of(&repository);
    let lock = lock_watch::watch(
        lock.as_deref(),
        &repository,
        &running,
        every,
        &is_hung,
        &ended,
    );
    let cancelled = async {
        let operation = running.snapshot();
        tokio::select! {
            () = ended.cancelled() => {}
            reason = cancel::requested(settings.backup.state_folder(), &operation) => {
                running.cancel(&reason);
            }
        }
    };
    futures::join!(time, lock, cancelled);
}
