//! The one error of the product.

use arc_backup_core as core;
use arc_backup_core::ErrorKind;

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
    #[error("`{0}` is not a backup id: expected backup-YYYYMMDD-HHMMSS-xxxxxxxx")]
    InvalidId(String),
    /// A request that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// No schedule has that name.
    #[error("there is no schedule {name:?}: {hint}")]
    UnknownSchedule {
        /// The name.
        name: String,
        /// The names that there are.
        hint: String,
    },
    /// No target holds the backup.
    #[error("no backup `{0}` in any target that was asked")]
    NotFound(String),
    /// The backup has no file of that path.
    #[error("backup `{id}` has no file `{path}`: `arc-backup files {id}` lists what it has")]
    NoSuchFile {
        /// The backup.
        id: String,
        /// The path.
        path: String,
    },
    /// There was no operation with that id.
    #[error(
        "no operation `{0}`: `arc-backup history` lists them, and `arc-backup set-aside` those that can be taken back"
    )]
    UnknownOperation(String),
    /// There is only an incomplete copy with that id.
    #[error(
        "`{0}` is an incomplete copy, of a backup whose source had files that could not be read: `list --all` (?all=true) names \
         them, and a restore with --allow-incomplete (allow_incomplete = true) takes what there is"
    )]
    Incomplete(String),
    /// A backup whose files are damaged.
    #[error("backup `{id}` is damaged: {detail}")]
    Damaged {
        /// Its id.
        id: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A backup that exists and cannot be read now. That says nothing about its bytes.
    #[error("backup `{id}` cannot be read now: {detail}")]
    Unreadable {
        /// Its id.
        id: String,
        /// Why.
        state: UnreadableState,
        /// The same for people, and what to do.
        detail: String,
    },
    /// A pinned backup is not deleted.
    #[error("backup `{id}` is pinned{detail}; `arc-backup unpin {id}` lets it be deleted")]
    Pinned {
        /// Its id.
        id: String,
        /// Who pinned it, until when, and why: ` by alice until …: …`.
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
    /// Another error, with what it means for the operation, or what to do. It counts as that other
    /// error: see [`root`](Self::root).
    #[error("{source}; {context}")]
    Context {
        /// What it means, or what to do.
        context: String,
        /// What happened.
        #[source]
        source: Box<Error>,
    },
    /// A task of this program ended by itself: a fault of this program.
    #[error("internal fault: {0}")]
    Internal(#[from] tokio::task::JoinError),
    /// Anything else that made an operation fail.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// The same error, with what it means for the operation, or what to do.
    #[must_use]
    pub fn context(self, context: impl Into<String>) -> Self {
        Self::Context {
            context: context.into(),
            source: Box::new(self),
        }
    }

    /// What happened, without any context: exit codes and HTTP statuses go by that.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::Context { source, .. } => source.root(),
            error => error,
        }
    }

    /// As [`root`](Self::root).
    #[must_use]
    pub fn into_root(self) -> Self {
        match self {
            Self::Context { source, .. } => source.into_root(),
            error => error,
        }
    }

    /// The fault of a storage, source, target or disk, if it is one.
    #[must_use]
    pub fn storage_fault(&self) -> Option<&core::Error> {
        match self.root() {
            Self::Storage(error) | Self::Target { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether the operation was cancelled, or ended because it took too long or lost its lock.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.root(), Self::Cancelled(_))
    }

    /// Whether a storage gave no answer (it was away, throttled, or the call was ended): it says
    /// nothing of what is stored there.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.storage_fault().is_some_and(|fault| {
            matches!(
                fault.kind(),
                ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Cancelled
            )
        })
    }

    /// Whether it refuses a request, which then has no entry in the history: wrong use, an unknown
    /// id or target, a pinned backup, and busy.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self.root(),
            Self::Config(_)
                | Self::InvalidId(_)
                | Self::Invalid(_)
                | Self::NotFound(_)
                | Self::NoSuchFile { .. }
                | Self::UnknownOperation(_)
                | Self::UnknownSchedule { .. }
                | Self::Incomplete(_)
                | Self::Pinned { .. }
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

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    /// Guards against a wrong exit code or HTTP status of an error that has a context.
    #[test]
    fn an_error_with_a_context_counts_as_what_happened() {
        let full = core::Error::new(core::ErrorKind::NoSpace, "write", "a", "disk full");
        let error = Error::from(full)
            .context("nothing was changed")
            .context("free some room");
        assert_eq!(
            error.to_string(),
            "cannot write `a`: disk full; nothing was changed; free some room"
        );
        let fault = error.storage_fault().map(core::Error::kind);
        assert_eq!(fault, Some(core::ErrorKind::NoSpace));
        assert!(!error.is_refusal() && !error.is_cancelled());
        let source = error.source().map(ToString::to_string);
        assert_eq!(
            source.as_deref(),
            Some("cannot write `a`: disk full; nothing was changed")
        );
        let refused = Error::Invalid("no".to_owned()).context("ask again");
        assert!(refused.is_refusal() && matches!(refused.into_root(), Error::Invalid(_)));
        assert!(
            Error::Cancelled("stop".to_owned())
                .context("x")
                .is_cancelled()
        );
    }
}
