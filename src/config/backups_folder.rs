//! `backup.local_path`: the folder of the built-in target, and of the state.

use std::path::PathBuf;

use super::values::Values;
use crate::Result;

/// The folder of backups where none is configured.
pub(super) const BACKUPS: &str = "./data/backups";

/// `backup.local_path`. Where it is empty and there are targets, Arc starts and does not use it;
/// then it is Arc's default, for the state folder.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) where it is empty and there is no target.
pub(super) fn local_path<'a>(
    values: &Values,
    mut targets: impl Iterator<Item = &'a String>,
) -> Result<PathBuf> {
    let key = values.own("local_path");
    match targets.next() {
        Some(_) if is_empty(values, &key)? => Ok(PathBuf::from(BACKUPS)),
        _ => values.path(&key, BACKUPS),
    }
}

/// Whether a path is set, to nothing.
pub(super) fn is_empty(values: &Values, key: &str) -> Result<bool> {
    Ok(values.text(key)?.is_some_and(|path| path.trim().is_empty()))
}
