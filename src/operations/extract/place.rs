//! Where a backup to extract from is, and whether its files may be written where they shall be.

use std::path::Path;

use crate::operations::ArcBackup;
use crate::operations::entries::records_in;
use crate::operations::extract::options::ExtractOptions;
use crate::operations::selected::{check_matches, check_names};
use crate::repository::Repository;
use crate::{Error, Result};

/// What to do where the folder can't be extracted into.
const OTHER: &str = "name another folder (--to)";

/// Finds the backup to extract from.
///
/// # Errors
/// [`Error::Invalid`] where the folder can't be extracted into; [`Error::NotFound`] where no target
/// holds the backup.
pub(crate) async fn locate(engine: &ArcBackup, options: &ExtractOptions) -> Result<Repository> {
    engine.check_output(&options.to, OTHER)?;
    check(&options.to)?;
    let (id, target) = (&options.id, options.target.as_deref());
    let (repository, loaded) = engine.locate(id, target).await?;
    check_names(id, &loaded?.manifest, &options.scope)?;
    if !options.scope.is_whole() {
        let backup = engine.open(id, target).await?;
        check_matches(id, backup.inventory(), &options.scope)?;
        if records_in(backup.inventory(), &options.scope)?
            .next()
            .is_none()
        {
            return Err(Error::Invalid(format!(
                "backup `{id}` has no file that was asked for (--include, --exclude, --from, --until): `arc-backup files {id}` lists \
                 what it has"
            )));
        }
    }
    Ok(repository)
}

fn check(to: &Path) -> Result<()> {
    let (shown, other) = (to.display(), OTHER);
    match std::fs::read_dir(to) {
        Ok(mut children) => match children.next() {
            None => Ok(()),
            Some(_) => Err(Error::Invalid(format!("`{shown}` is not empty: {other}"))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Err(Error::Invalid(
            format!("`{shown}` is not a folder: {other}"),
        )),
        Err(error) => Err(Error::Invalid(format!(
            "`{shown}` can't be written to: {error}; {other}"
        ))),
    }
}
