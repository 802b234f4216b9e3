//! How many files this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a file needs that is being copied: itself, its copy, the folders of both, a connection.
const OF_A_COPY: u64 = 5;
/// What everything else needs: databases, locks, the state of the program itself.
const OF_ALL_ELSE: u64 = 32;
/// The share of the limit that is left to connections of clients: see `api/connections.rs`.
const OF_CONNECTIONS: u64 = 4;

/// Raises the limit as far as a process may by itself. The usual soft limit of 1,024 is there for programs that use `select`.
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

/// The limit, and how many files may be copied at once within it.
pub(crate) fn copies_at_once() -> (u64, usize) {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let left = limit - limit / OF_CONNECTIONS;
    let copies = left.saturating_sub(OF_ALL_ELSE) / OF_A_COPY;
    (limit, usize::try_from(copies).unwrap_or(usize::MAX).max(1))
}
