//! The limit on open files of this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::operations::OperationKind;
use crate::operations::reader_slots::MAX_READERS;

/// Descriptors for one copy: the file, its copy, the folders of both, a connection.
const OF_A_COPY: u64 = 5;
/// Descriptors for everything else: databases, locks, the program's own state.
const OF_ALL_ELSE: u64 = 32;
/// The limit divided by this is reserved for clients' connections: see `api/connections.rs`.
const OF_CONNECTIONS: u64 = 4;

/// Raises the soft limit to the hard limit. The usual soft limit of 1,024 protects programs that
/// use `select`, and this is not one.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

/// An operation that runs beside others takes one part of this many: so many may run at once.
const OF_READERS: u64 = MAX_READERS as u64;

/// Returns the limit, and how many files the operation may copy, or read, at once within it.
pub(crate) fn copies_at_once(kind: OperationKind) -> (u64, usize) {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let left = limit - limit / OF_CONNECTIONS;
    let all = left.saturating_sub(OF_ALL_ELSE) / OF_A_COPY;
    let copies = match kind.is_reader() {
        true => all / OF_READERS,
        false => all,
    };
    (limit, usize::try_from(copies).unwrap_or(usize::MAX).max(1))
}
