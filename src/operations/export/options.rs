//! What an export is asked for.

use std::fmt;
use std::path::PathBuf;

use crate::files::folder_of;
use crate::manifest::BackupId;
use crate::{Error, Result};

/// Which backup to export, and where to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExportOptions {
    /// The backup.
    pub id: BackupId,
    /// The target that holds it; `None` for the only one.
    pub target: Option<String>,
    /// Where the archive is written to.
    pub to: ExportTo,
}

/// Where an archive is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportTo {
    /// A new file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl fmt::Display for ExportTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdout => f.write_str("-"),
        }
    }
}

impl ExportOptions {
    /// An export of the backup `id`.
    #[must_use]
    pub fn new(id: BackupId, to: ExportTo) -> Self {
        Self {
            id,
            target: None,
            to,
        }
    }

    /// The same, from the target that is named.
    #[must_use]
    pub fn target(self, target: Option<String>) -> Self {
        Self { target, ..self }
    }

    /// Refuses a file that is there already, or whose folder is not.
    pub(super) fn check(&self) -> Result<()> {
        let ExportTo::File(path) = &self.to else {
            return Ok(());
        };
        match path.symlink_metadata() {
            Ok(_) => return Err(exists(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(path, &error)),
        }
        match folder_of(path).is_dir() {
            true => Ok(()),
            false => Err(Error::Invalid(format!(
                "`{}` is not a folder: make it, or export to another one (--to)",
                folder_of(path).display()
            ))),
        }
    }
}

/// The error for a path that can't be that of a file.
fn unusable(path: &std::path::Path, error: &std::io::Error) -> Error {
    Error::Invalid(format!(
        "`{}` can't be written: {error}; export to another file (--to)",
        path.display()
    ))
}

/// The error for a file that would be overwritten.
pub(super) fn exists(path: &std::path::Path) -> Error {
    Error::Invalid(format!(
        "`{}` exists, and is not overwritten: remove it, or export to another file (--to)",
        path.display()
    ))
}
