//! The record of a restore, by which it can be taken back.

use crate::Result;
use crate::operations::context::Context;
use crate::operations::restore::RestoreOptions;
use crate::operations::restore::marker::RestoreMarker;
use crate::operations::restore::restored_section::RestoredSection;
use crate::operations::undo::{Record, remove_leftovers};

/// Writes what the sections are about to change, durably. A new instance is not taken back: its
/// files are removed.
pub(crate) async fn write(
    context: &Context,
    options: &RestoreOptions,
    marker: &RestoreMarker<'_>,
    parts: &[RestoredSection],
) -> Result<()> {
    if context.new_instance.is_some() {
        return Ok(());
    }
    remove_leftovers(&context.settings, &context.operation_id);
    let earlier = marker.earlier().into_iter();
    let mut record = Record::new(context, earlier.map(|run| run.operation_id).collect());
    record.extra_files = options.extra_files;
    for part in parts {
        let restore = &*part.restore;
        (record.add(&context.settings, &part.section, restore)).await?;
    }
    record.write(&context.settings)
}

/// Notes that the restore has ended.
pub(crate) fn finish(context: &Context) -> Result<()> {
    match Record::of(&context.settings, &context.operation_id)? {
        Some(mut record) => record.finish(&context.settings),
        None => Ok(()),
    }
}

/// Removes the record of a restore that changed nothing.
pub(crate) fn remove(context: &Context) {
    if let Err(error) = Record::remove(&context.settings, &context.operation_id) {
        tracing::warn!(%error, "the record of a restore that changed nothing stays");
    }
}
