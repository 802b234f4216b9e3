//! Where a backup to extract from is, and whether its files may be written where they shall be.

use std::path::{Path, PathBuf};

use crate::operations::ArcBackup;
use crate::operations::entries::records_in;
use crate::operations::extract::options::ExtractOptions;
use crate::repository::Repository;
use crate::{Error, Result};

/// Finds the backup to extract from.
///
/// # Errors
/// [`Error::Invalid`] where the folder can't be extracted into; [`Error::NotFound`] where no target
/// holds the backup.
pub(crate) async fn locate(engine: &ArcBackup, options: &ExtractOptions) -> Result<Repository> {
    let targets = engine.repositories.iter().map(Repository::sink);
    let places = targets.chain([&engine.storage]).chain(&engine.cold);
    let roots: Vec<_> = places
        .filter_map(|sink| sink.properties().local_path)
        .collect();
    check(&options.to, &roots)?;
    let (id, target) = (&options.id, options.target.as_deref());
    let (repository, loaded) = engine.locate(id, target).await?;
    loaded?;
    if !options.scope.is_whole() {
        let backup = engine.open(id, target).await?;
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

fn check(to: &Path, roots: &[PathBuf]) -> Result<()> {
    let shown = to.display();
    let other = "name another folder (--to)";
    let real = crate::config::real_path(to);
    if let Some(root) = roots
        .iter()
        .find(|root| real.starts_with(crate::config::real_path(root)))
    {
        return Err(Error::Invalid(format!(
            "`{shown}` lies in `{}`, where the data or backups are: {other}",
            root.display()
        )));
    }
    match std::fs::read_dir(to) {
        Ok(mut children) => match children.next() {
            None => Ok(()),
            Some(_) => Err(Error::Invalid(format!("`{shown}` is not empty: {other}"))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Err(Error::Invalid(
            format!("`{shown}` is not a folder: {other}"),
        )),
        Err(error) => Err(Error::io("list", to, error)),
    }
}
