//! Finding the restore that is to be taken back.

use arc_backup_core::Section;

use crate::manifest::BackupId;
use crate::operations::undo::options::UndoRequest;
use crate::operations::undo::stack;
use crate::operations::{ArcBackup, OperationKind};
use crate::{Error, Result};

impl ArcBackup {
    /// Finds the restore that the operation made, to take it back.
    ///
    /// # Errors
    /// [`Error::UnknownOperation`] where there was no such operation; [`Error::Invalid`] where it
    /// can't be taken back, with the reason.
    pub async fn find_undo(&self, operation_id: &str) -> Result<UndoRequest> {
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
        let text = match found.operation {
            OperationKind::Restore | OperationKind::Undo => {
                "changed nothing, was taken back already, or what it set aside was removed: `arc-backup set-aside` \
                 lists what can be taken back"
            }
            kind => {
                return Error::Invalid(format!(
                    "operation {operation_id} was a {kind}: only restores can be taken back"
                ));
            }
        };
        Error::Invalid(format!(
            "operation {operation_id} {text}; else restore a backup from before it"
        ))
    }
}
