//! Crashed operations: the history says that they run, and no process does.

use jiff::Timestamp;

use crate::Result;
use crate::operations::history::HistoryFile;
use crate::operations::instance_lock::InstanceLock;
use crate::operations::{ArcBackup, Operation, OperationKind, RestoreInProgress, Status};

impl ArcBackup {
    /// Marks crashed operations as failed. The caller holds the instance's lock, and its own
    /// operation is not in the history yet: whatever else writes has crashed.
    pub(crate) async fn mark_crashed(&self) -> Result<()> {
        let in_progress = self.restore_in_progress().await;
        let readers = self.slots.readers.clone();
        self.history
            .with(move |file| {
                file.fail_unreadable()?;
                let runs = |one: &Operation| readers.is_held(&one.operation_id);
                mark_crashed(file, in_progress.as_ref(), runs)
            })
            .await
    }

    /// Marks crashed operations as failed, whether somebody runs an operation or not.
    pub(crate) async fn mark_crashed_now(&self) -> Result<()> {
        // Those of this process, whatever their locks say: they are released before the end is
        // recorded.
        let own: Vec<_> = (self.running.under_way().iter())
            .map(|one| one.operation_id().to_owned())
            .collect();
        let mut ids = self.history.running_ids().await?;
        ids.retain(|id| !own.contains(id) && !self.slots.readers.is_held(id));
        if ids.is_empty() {
            return Ok(());
        }
        let (path, readers) = (
            self.slots.lock_path().to_owned(),
            self.slots.readers.clone(),
        );
        let in_progress = self.restore_in_progress().await;
        let settled = self.history.with(move |file| {
            let reads = |one: &Operation| {
                own.contains(&one.operation_id) || readers.is_held(&one.operation_id)
            };
            // No operation that writes can start here and be mistaken for a crashed one.
            let free = InstanceLock::while_free(&path, || {
                file.fail_unreadable()?;
                mark_crashed(file, in_progress.as_ref(), reads)
            });
            free.unwrap_or_else(|| {
                // The instance's lock may be that of a verification by an earlier release.
                let holder = InstanceLock::holder(&path).map(|holder| holder.operation_id);
                let runs = |one: &Operation| {
                    !one.operation.is_reader()
                        || reads(one)
                        || holder.as_ref() == Some(&one.operation_id)
                };
                mark_crashed(file, in_progress.as_ref(), runs)
            })
        });
        settled.await
    }
}

/// Marks operations that do not run, by `runs`, as failed. `in_progress` is the restore that a
/// marker describes.
fn mark_crashed(
    file: &HistoryFile,
    in_progress: Option<&RestoreInProgress>,
    runs: impl Fn(&Operation) -> bool,
) -> Result<()> {
    for mut operation in file.running()? {
        if runs(&operation) {
            continue;
        }
        operation.status = Status::Failed;
        let text = match (operation.operation, in_progress) {
            (OperationKind::Undo, Some(_)) => "interrupted: run the same undo again to complete it",
            (OperationKind::Restore, Some(_)) => {
                "interrupted: run the same restore again to complete it"
            }
            (OperationKind::Restore, None) if operation.restored_to.is_some() => {
                "interrupted: run the same restore again to complete it"
            }
            // It ended before its first change, or after its last one.
            (OperationKind::Restore | OperationKind::Undo, None) => {
                "interrupted: no file is partly restored"
            }
            _ => "interrupted",
        };
        operation.error = Some(text.to_owned());
        operation.eta_seconds = None;
        operation.bytes_per_second = None;
        operation.completed_at = Some(Timestamp::now().to_string());
        operation.phase = None;
        file.write(&operation)?;
    }
    Ok(())
}
