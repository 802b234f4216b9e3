//! What a killed operation has left on this machine, removed when the service starts.

use std::sync::Arc;

use arc_backup_core::{Activity, Discard};

use crate::operations::ArcBackup;
use crate::operations::instance_lock::InstanceLock;

impl ArcBackup {
    /// Removes the second names of the data and the scratch files that a killed backup has left, which take room until they go: what
    /// Arc has deleted since is not freed before.
    ///
    /// Goes on by itself, and keeps nobody waiting: where an operation runs, in whatever process, its own are in use and stay, and one
    /// that starts meanwhile finds the instance's lock free.
    pub fn clean_up_at_start(self: &Arc<Self>) {
        let engine = self.clone();
        tokio::spawn(async move {
            let looking = engine.clone();
            let stale = tokio::task::spawn_blocking(move || {
                // Nobody can begin an operation while the names are changed.
                InstanceLock::while_free(&looking.lock_path(), || looking.scratch.take_stale())
            });
            match stale.await {
                Ok(Some(Ok(stale))) => {
                    let _ = tokio::task::spawn_blocking(move || stale.remove()).await;
                }
                Ok(Some(Err(error))) => {
                    tracing::warn!(%error, "scratch files of a killed operation stay until the next one");
                }
                // An operation runs, which has cleaned up.
                Ok(None) | Err(_) => return,
            }
            for error in engine
                .discard_views(Discard::Remove, &Activity::default())
                .await
                .faults
            {
                tracing::warn!(%error, "what an interrupted backup held on to can't be removed");
            }
        });
    }
}
