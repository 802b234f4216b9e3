//! What a restore had set aside, once it is taken back.

use std::sync::Arc;

use arc_backup_core::{Activity, OperationId, Sink};

use crate::Result;
use crate::operations::context::Context;
use crate::operations::undo::kept::remove_replaced;
use crate::operations::undo::record;
use crate::operations::undo::stack::ToUndo;
use crate::repository::own;
use crate::source::Aside;

/// Removes what the runs of the restore had set aside: all of it is live again. Then their records,
/// the last one first: while there is one, the rest can be found.
pub(crate) async fn remove_what_was_set_aside(context: &Context, found: &ToUndo) -> Result<()> {
    let target = context.repository.target_sink();
    let activity = context.running.progress.activity();
    for run in &found.runs {
        let id = run.id()?;
        for source in &context.sources {
            if let Some(storage) = source.files() {
                remove_area(&storage, target, &id, activity).await?;
            }
        }
        remove_replaced(&context.settings, &run.operation_id)?;
    }
    for run in found.runs.iter().rev() {
        record::remove(&context.settings, &run.operation_id)?;
    }
    Ok(())
}

/// Removes what the operation has set aside of a storage.
pub(super) async fn remove_area(
    storage: &Arc<dyn Sink>,
    target: &Arc<dyn Sink>,
    id: &OperationId,
    activity: &Activity,
) -> Result<()> {
    let target = Some((target.clone(), own("before-restore")));
    Ok(Aside::new(storage.clone(), id, target, activity)
        .remove()
        .await?)
}
