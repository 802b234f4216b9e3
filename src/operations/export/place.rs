//! Where a backup to export is.

use crate::operations::ArcBackup;
use crate::operations::export::options::{ExportOptions, ExportTo};
use crate::repository::Repository;
use crate::{Error, Result};

/// Finds the backup to export.
///
/// # Errors
/// [`Error::Invalid`] where it can't be exported, or not to that file; [`Error::NotFound`] where no
/// target holds it.
pub(crate) async fn locate(engine: &ArcBackup, options: &ExportOptions) -> Result<Repository> {
    if let ExportTo::File(path) = &options.to {
        engine.check_output(path, "export to another file (--to)")?;
    }
    options.check()?;
    let (id, target) = (&options.id, options.target.as_deref());
    let (repository, loaded) = engine.locate(id, target).await?;
    let loaded = loaded?;
    if loaded.manifest.is_leg() && repository.legs().is_empty() {
        return Err(Error::Invalid(format!(
            "backup `{id}` in {} is only a leg of a backup over several targets: export all of it, without --target",
            repository.label()
        )));
    }
    if !loaded.sealed {
        return Err(Error::Invalid(format!(
            "Arc itself made backup `{id}`: it has no inventory by which an archive could be checked; copy its folder, or another \
             target's (`arc-backup copy`), instead"
        )));
    }
    Ok(repository)
}
