//! Where the output of an operation must not go: into the data, or into backups.

use std::path::{Path, PathBuf};

use crate::config::real_path;
use crate::operations::ArcBackup;
use crate::repository::Repository;
use crate::{Error, Result};

impl ArcBackup {
    /// Refuses a file or folder that would lie in Arc's data, or among backups: it would become a
    /// part of them.
    ///
    /// # Errors
    /// [`Error::Invalid`] says `other`, what to do instead.
    pub(crate) fn check_output(&self, to: &Path, other: &str) -> Result<()> {
        let targets = self.repositories.iter().map(Repository::sink);
        let places = targets.chain([&self.storage]).chain(&self.cold);
        let roots = places.filter_map(|sink| sink.properties().local_path);
        check(to, &roots.collect::<Vec<_>>(), other)
    }
}

fn check(to: &Path, roots: &[PathBuf], other: &str) -> Result<()> {
    let real = real_path(to);
    match roots.iter().find(|root| real.starts_with(real_path(root))) {
        Some(root) => Err(Error::Invalid(format!(
            "`{}` lies in `{}`, where the data or backups are: {other}",
            to.display(),
            root.display()
        ))),
        None => Ok(()),
    }
}
