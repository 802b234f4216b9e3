//! The one error of the product.

use arc_backup_core as core;

use crate::busy::Busy;
use crate::holder::Holder;
use crate::unreadable_state::UnreadableState;

/// What the product's functions answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was refused or failed. Its text names the thing and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration that is wrong without asking the network.
    #[error("{0}")]
    Config(String),
    /// A backup id that does not have the form of one.
    #[error("`{0}` is no backup id: expected backup-YYYYMMDD-HHMMSS-xxxxxxxx")]
    InvalidId(String),
    /// A request that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// No target holds the backup.
    #[error("no backup `{0}` in any target that was asked")]
    NotFound(String),
    /// There is no backup of that id, but an incomplete copy.
    #[error(
        "`{0}` is an incomplete copy, of a backup whose source had files that could not be read: `list --all` (?all=true) names \
         them, and a restore with --allow-incomplete (allow_incomplete = true) takes what there is"
    )]
    Incomplete(String),
    /// A backup that is there and can't be trusted.
    #[error("backup `{id}` is damaged: {detail}")]
    Damaged {
        /// Its id.
        id: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A backup that is there and can't be read now. That says nothing of its bytes.
    #[error("backup `{id}` can't be read now: {detail}")]
    Unreadable {
        /// Its id.
        id: String,
        /// Why.
        state: UnreadableState,
        /// The same in words, and what to do.
        detail: String,
    },
    /// Another operation runs.
    #[error("another operation is running: {0}; `--wait 30m` waits for it")]
    Busy(Box<Busy>),
    /// The operation was cancelled, or ended because it took too long or lost its lock.
    #[error("{0}")]
    Cancelled(String),
    /// A target failed.
    #[error("target `{target}`: {} (cannot {} `{}`)", error.detail(), error.operation(), error.subject())]
    Target {
        /// Its name.
        target: String,
        /// What it did not do, and why.
        #[source]
        error: core::Error,
    },
    /// A storage or source failed, or a disk of this machine.
    #[error(transparent)]
    Storage(#[from] core::Error),
    /// Anything else that made an operation fail.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// Whether it refuses a request, which then has no entry in the history: wrong use, an unknown
    /// id or target, and busy.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::InvalidId(_)
                | Self::Invalid(_)
                | Self::NotFound(_)
                | Self::Incomplete(_)
                | Self::Busy(_)
        )
    }

    pub(crate) fn io(
        operation: &'static str,
        path: &std::path::Path,
        error: std::io::Error,
    ) -> Self {
        Self::Storage(core::Error::from_io(
            operation,
            path.display().to_string(),
            error,
        ))
    }
}

impl From<Holder> for Error {
    fn from(holder: Holder) -> Self {
        Self::Busy(Box::new(holder.into()))
    }
}
