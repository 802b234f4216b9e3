//! What can go wrong with a sample instance.

use std::io;
use std::path::{Path, PathBuf};

use super::names::{MARKER, PARTIAL};

/// Why a sample instance could not be made or reused, or one of its Parquet files not be written or
/// read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The path exists and is not a folder.
    #[error("cannot make a sample instance in `{}`: it is not a folder", .folder.display())]
    NotAFolder {
        /// The path that was asked for.
        folder: PathBuf,
    },
    /// The folder holds something else than a sample instance. Nothing was written.
    #[error(
        "cannot make a sample instance in `{}`: it holds `{found}` and is not a sample instance; name a new or empty folder",
        .folder.display()
    )]
    NotEmpty {
        /// The folder that was asked for.
        folder: PathBuf,
        /// One of the names in it.
        found: String,
    },
    /// The folder holds a half-made sample instance and something that is not part of one. Nothing
    /// was deleted.
    #[error(
        "cannot replace the half-made sample instance in `{}`: `{found}` is not part of it; move that away or name another folder",
        .folder.display()
    )]
    Foreign {
        /// The folder that was asked for.
        folder: PathBuf,
        /// The path in it, relative to it, that no sample instance has.
        found: String,
    },
    /// Another process is making a sample instance in this folder.
    #[error("cannot make a sample instance in `{}`: another process holds its `{PARTIAL}`", .folder.display())]
    InProgress {
        /// The folder that was asked for.
        folder: PathBuf,
    },
    /// The sample instance was complete once and has lost one of its files.
    #[error(
        "sample instance in `{}` has lost its `{name}`: restore it from a backup, or delete the folder and make a new sample",
        .folder.display()
    )]
    Lost {
        /// The folder of the sample instance.
        folder: PathBuf,
        /// The file, relative to it.
        name: &'static str,
    },
    /// The token in the marker is not an admin token of the sample instance's `arc.db` any more.
    #[error(
        "sample instance in `{}` no longer accepts the admin token of its `{MARKER}`: restore `data/arc.db` from a backup of this sample, or delete the folder and make a new sample",
        .folder.display()
    )]
    TokenGone {
        /// The folder of the sample instance.
        folder: PathBuf,
    },
    /// The marker of a sample instance cannot be understood.
    #[error("cannot read `{}` as the marker of a sample instance: {detail}; delete the folder and make a new sample", .path.display())]
    Marker {
        /// The marker.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A file or folder could not be written, read or removed.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Database {
        /// What was tried: a verb.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// A Parquet file could not be written or read.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Parquet {
        /// What was tried: a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The Parquet library's answer.
        source: ::parquet::errors::ParquetError,
    },
    /// The operating system gave no random bytes for the token.
    #[error("cannot make a token: {0}")]
    Random(getrandom::Error),
}

impl DemoError {
    /// Returns the conversion of an I/O error that names what was tried, and on what.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn database(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Database {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn parquet(
        action: &'static str,
        path: &Path,
    ) -> impl Fn(::parquet::errors::ParquetError) -> Self {
        move |source| Self::Parquet {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
