//! What goes wrong on local disk, and the one place where it becomes an [`Error`].

use std::io;

use arc_backup_core::{BlockingJob, Error, ErrorKind, InvalidKey, Result};
use rustix::io::Errno;

/// A fault, before it is known which operation on which key met it.
#[derive(Debug)]
pub(crate) enum DiskFault {
    /// Nothing is there.
    Absent,
    /// Something is there already.
    Exists,
    /// What is at `path` is not what may be there.
    Obstacle { path: String, what: &'static str },
    /// What is at `path` should be a folder.
    NotFolder { path: String, what: &'static str },
    /// Somebody else holds it.
    Busy(String),
    /// The request makes no sense.
    Invalid(String),
    /// The file system, or the rights to it, do not let it.
    Unsupported(String),
    /// What the operating system said of `subject`, which is not the key that the caller asked for.
    At { subject: String, error: io::Error },
    /// What the operating system said.
    Io(io::Error),
}

impl DiskFault {
    /// The error that a caller sees, who asked to `operation` the `subject`.
    pub(crate) fn about(self, operation: &'static str, subject: &str) -> Error {
        let error = |kind, detail: String| Error::new(kind, operation, subject, detail);
        match self {
            Self::Absent => error(ErrorKind::NotFound, "it does not exist".to_owned()),
            Self::Exists => error(ErrorKind::AlreadyExists, "it exists already".to_owned()),
            Self::Obstacle { path, what } => {
                error(ErrorKind::Invalid, format!("`{path}` is {what}"))
            }
            Self::NotFolder { path, what } => error(
                ErrorKind::Invalid,
                format!("`{path}` is {what} and not a folder"),
            ),
            Self::Busy(detail) => error(ErrorKind::Busy, detail),
            Self::Invalid(detail) => error(ErrorKind::Invalid, detail),
            Self::Unsupported(detail) => error(ErrorKind::Unsupported, detail),
            Self::At { subject, error } => Error::from_io(operation, subject, error),
            Self::Io(error) => Error::from_io(operation, subject, error),
        }
    }

    /// The same fault, naming `subject` in place of the key that the caller asked for.
    pub(crate) fn at(self, subject: impl Into<String>) -> Self {
        match self {
            Self::Io(error) => Self::At {
                subject: subject.into(),
                error,
            },
            other => other,
        }
    }
}

impl From<io::Error> for DiskFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            _ => Self::Io(error),
        }
    }
}

impl From<Errno> for DiskFault {
    fn from(errno: Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl From<InvalidKey> for DiskFault {
    fn from(invalid: InvalidKey) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

/// Makes absence, which to a reader includes a file where a folder would have to be, a `None`.
pub(crate) fn present<T>(result: Result<T, DiskFault>) -> Result<Option<T>, DiskFault> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(DiskFault::Absent | DiskFault::NotFolder { .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Does `work`, which waits for a disk, on a thread made for that.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    subject: &str,
    work: impl FnOnce() -> Result<T, DiskFault> + Send + 'static,
) -> Result<T> {
    let job = BlockingJob::begin();
    let work = move || {
        let _job = job;
        work()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|fault| fault.about(operation, subject)),
        Err(error) => Err(broken_off(operation, subject, error)),
    }
}

/// The error for work that ended without an answer: it panicked, or the runtime is shutting down.
pub(crate) fn broken_off(
    operation: &'static str,
    subject: &str,
    error: tokio::task::JoinError,
) -> Error {
    Error::new(ErrorKind::Other, operation, subject, "it was broken off").with_source(error)
}
