//! Removing the leftovers of a killed operation on this machine when the service starts.

use std::sync::Arc;

use arc_backup_core::{Activity, Discard};

use crate::operations::ArcBackup;
use crate::operations::instance_lock::InstanceLock;

impl ArcBackup {
    /// Removes the snapshots and scratch files of a killed backup. Until then they take disk space:
    /// files that Arc has deleted since are not freed.
    ///
    /// Runs in the background. If an operation is running, its files are in use, and nothing is
    /// removed. An operation that starts then does not wait.
    pub fn clean_up_at_start(self: &Arc<Self>) {
        let engine = self.clone();
        tokio::spawn(async move {
            let looking = engine.clone();
            let stale = tokio::task::spawn_blocking(move || {
                // No operation can start while the folders are renamed.
                let runs = |id: &str| looking.slots.readers.is_held(id);
                InstanceLock::while_free(looking.slots.lock_path(), || {
                    looking.scratch.take_stale(runs)
                })
            });
            match stale.await {
                Ok(Some(Ok(stale))) => {
                    let _ = tokio::task::spawn_blocking(move || stale.remove()).await;
                }
                Ok(Some(Err(error))) => {
                    tracing::warn!(%error, "cannot remove leftover scratch files: the next operation removes them");
                }
                // An operation is running: it has cleaned up.
                Ok(None) | Err(_) => return,
            }
            for error in engine
                .discard_snapshots(Discard::Remove, &Activity::default())
                .await
                .faults
            {
                tracing::warn!(%error, "cannot remove a leftover snapshot");
            }
        });
    }
}
