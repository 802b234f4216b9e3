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
        check(to, &roots.collect::<Vec<_>>(), other)?;
        self.check_companions(to, other)
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

/// What begins like the name of a file, and is beside it, may be taken for one of its companions:
/// `arc.db-wal`, `arc.db.pending-restore`.
const OF_FILES: [&str; 2] = ["-", "."];
/// The same of the root of the data.
const OF_ROOTS: [&str; 2] = [".before-restore", ".arc-backup-restore"];

impl ArcBackup {
    /// Refuses a place with the name of something that Arc, or this program, looks for beside a
    /// database, `arc.toml` or the data.
    ///
    /// # Errors
    /// [`Error::Invalid`] names both, and says `other`, what to do instead.
    pub(crate) fn check_companions(&self, to: &Path, other: &str) -> Result<()> {
        let (real, settings) = (real_path(to), &self.settings);
        let databases = settings.databases.iter().map(|one| one.path.clone());
        let files = databases.chain([settings.config_path.clone()]);
        let sinks = [Some(&self.storage), self.cold.as_ref()];
        let roots = sinks.into_iter().flatten();
        let roots = roots.filter_map(|sink| sink.properties().local_path);
        let all = (files.map(|path| (path, OF_FILES))).chain(roots.map(|path| (path, OF_ROOTS)));
        for (path, endings) in all {
            let path = real_path(&path);
            if real
                .ancestors()
                .any(|place| is_companion(place, &path, &endings))
            {
                return Err(Error::Invalid(format!(
                    "`{}` has a name like that of a file that belongs to `{}`: {other}",
                    to.display(),
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

fn is_companion(place: &Path, of: &Path, endings: &[&str]) -> bool {
    let (Some(name), Some(of_name)) = (place.file_name(), of.file_name()) else {
        return false;
    };
    let rest = (name.as_encoded_bytes()).strip_prefix(of_name.as_encoded_bytes());
    let has_ending = |rest: &[u8]| endings.iter().any(|one| rest.starts_with(one.as_bytes()));
    place.parent() == of.parent() && rest.is_some_and(has_ending)
}
