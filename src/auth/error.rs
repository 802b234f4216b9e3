//! Faults of the places where tokens are kept.

use std::path::PathBuf;

/// A fault of the token database or of the generated token's file.
///
/// No variant carries a token or a hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token database is there and cannot be read.
    #[error("cannot read tokens from `{}`: {source}", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The token database stayed locked by a writer.
    #[error("cannot read tokens from `{}`: it stayed locked", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// The token table lacks a column without which no token can be judged.
    #[error("cannot read tokens from `{}`: `api_tokens` has no column `{column}`", path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {operation} `{}`: {source}", path.display())]
    File {
        /// `read`, `write` or `create`.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The generated token's file holds no hash.
    #[error("`{}` holds no token hash: remove it, and a new token is made", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("cannot make a token: no random bytes: {0}")]
    Random(getrandom::Error),
}
