//! Finding the restore that is to be taken back.

use arc_backup_core::Section;

use crate::manifest::BackupId;
use crate::operations::undo::options::UndoRequest;
use crate::operations::undo::record::{self, Record};
use crate::operations::undo::stack;
use crate::operations::{ArcBackup, OperationKind, Status};
use crate::{Error, Result};

impl ArcBackup {
    /// Finds the restore that the operation made, to take it back.
    ///
    /// # Errors
    /// [`Error::UnknownOperation`] where there was no such operation; [`Error::Invalid`] where it
    /// can't be taken back, with the reason.
    pub async fn find_undo(&self, operation_id: &str) -> Result<UndoRequest> {
        if (self.under_way().iter()).any(|running| running.operation_id == operation_id) {
            return Err(Error::Invalid(format!(
                "operation {operation_id} is running: cancel it, or wait until it has ended"
            )));
        }
        let marker = self.restore_in_progress().await;
        let found = stack::find(&self.settings, operation_id, marker.as_ref())?;
        let Some(found) = found else {
            return Err(self.without_record(operation_id).await);
        };
        let last = found.last();
        let is_known = self.repository(Some(&last.target)).is_ok();
        Ok(UndoRequest {
            operation_id: operation_id.to_owned(),
            restart_required: (found.sections().iter()).any(|section| {
                [Section::Metadata.as_str(), Section::Config.as_str()].contains(&section.as_str())
            }),
            id: BackupId::parse(&last.backup_id)?,
            target: is_known.then(|| last.target.clone()),
        })
    }

    /// Why an operation without a record can't be taken back.
    async fn without_record(&self, operation_id: &str) -> Error {
        let found = match self.history.get(operation_id.to_owned()).await {
            Ok(Some(found)) => found,
            Ok(None) => return Error::UnknownOperation(operation_id.to_owned()),
            Err(error) => return error,
        };
        if !matches!(
            found.operation,
            OperationKind::Restore | OperationKind::Undo
        ) {
            let kind = found.operation;
            return Error::Invalid(format!(
                "operation {operation_id} was a {kind}: only restores can be taken back"
            ));
        }
        let undone_by = record::all(&self.settings).map(|all| {
            let undoes = |one: &Record| one.undoes.as_deref() == Some(operation_id);
            all.into_iter().rfind(|one| one.is_finished && undoes(one))
        });
        let text = match undone_by {
            Err(error) => return error,
            Ok(Some(undo)) => format!("was taken back already, by {}", undo.operation_id),
            Ok(None) if found.status == Status::Completed => {
                "has no record: it restored into a new folder or another storage (`--to`, `--to-storage`), or it was taken back, \
                 or what it set aside was removed; `arc-backup set-aside` lists what restores have set aside"
                    .to_owned()
            }
            Ok(None) => {
                "has no record: it ended before its first change, or another operation completed it and was taken back"
                    .to_owned()
            }
        };
        Error::Invalid(format!(
            "operation {operation_id} {text}; else restore a backup from before it"
        ))
    }
}
