//! Why an entry was not copied.

use arc_backup_core::{Digest, Error};

/// Why an entry was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyFault {
    /// The reader failed.
    #[error("{0}")]
    Read(Error),
    /// The writer failed.
    #[error("{0}")]
    Write(Error),
    /// There were more or fewer bytes than there should be.
    #[error("`{key}` has {found} bytes; {expected} were expected")]
    Size {
        /// The entry's key.
        key: String,
        /// How many were expected.
        expected: u64,
        /// How many there were; one more than expected means any number above.
        found: u64,
    },
    /// The bytes are not the ones they should be.
    #[error("`{key}` has SHA-256 {found}; {expected} was expected")]
    Checksum {
        /// The entry's key.
        key: String,
        /// The digest that was expected.
        expected: Digest,
        /// That of the bytes there were.
        found: Digest,
    },
    /// The copy was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl CopyFault {
    /// Whether the same copy, made again, may go well.
    pub(super) fn may_heal(&self) -> bool {
        match self {
            Self::Read(error) | Self::Write(error) => error.is_retryable(),
            // A sink may not find damage on the way by itself.
            Self::Checksum { .. } => true,
            Self::Size { .. } | Self::Cancelled => false,
        }
    }
}
