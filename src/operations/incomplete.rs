//! Keeping what a backup could read.

use super::backup::Collected;
use super::context::Context;
use crate::manifest::{self, Manifest, MissingFile};
use crate::{Error, Result};

/// Makes the stored files an incomplete copy.
pub(super) async fn keep(context: &Context, collected: Collected) -> Result<()> {
    let repository = &context.repository;
    let status = context.running.snapshot();
    let mut manifest = collected.manifest(context);
    manifest
        .inventory
        .clone_from(&collected.incomplete_inventory);
    manifest.missing_files = status.problem_count;
    manifest.missing = (status.problems.into_iter())
        .map(|problem| MissingFile {
            path: problem.path,
            detail: problem.detail,
        })
        .collect();
    let bytes = manifest::seal(&mut manifest)
        .map_err(|e| Error::Failed(format!("cannot write what the copy lacks: {e}")))?;
    repository.keep_incomplete(&context.id, bytes).await?;
    // An older copy that lacks as much, or more, and has no more, is of no use beside this one: a file that can't be read for days must not
    // fill the target.
    for (id, older) in repository.incomplete_manifests().await? {
        let entries = |manifest: &Manifest| manifest.inventory.as_ref().map(|list| list.entries);
        if older.missing_files >= manifest.missing_files
            && entries(&older) <= entries(&manifest)
            && id != context.id
            && manifest.stands_for(&older)
        {
            repository.remove_incomplete(&id).await?;
        }
    }
    repository.end_journal(&context.id).await?;
    context.running.update(|operation| {
        operation.incomplete_copy = Some(format!(
            "{}: what could be read, in the target {:?}; restore it with --allow-incomplete",
            context.id,
            repository.name()
        ));
    });
    Ok(())
}
