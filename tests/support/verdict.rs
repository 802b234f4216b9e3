//! Whether an operation that met a fault has said so, with the reason and what it is about.

use std::process::Output;

use crate::faults;
use crate::support::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Backup,
    Restore,
    Delete,
    Sweep,
}

/// Calls that an operation can do without: it says so in a warning, or tries again later.
const TOLERATED: [(Option<Operation>, &str); 16] = [
    // What a crash has left takes room, and no more: a warning, and the next operation tries again.
    (None, "storage.discard_snapshots"),
    (None, "source-data.discard_snapshots"),
    (None, "source-metadata.discard_snapshots"),
    (None, "source-config.discard_snapshots"),
    (Some(Operation::Backup), "storage.release_snapshot"),
    (Some(Operation::Backup), "source-data.release"),
    (Some(Operation::Backup), "source-metadata.release"),
    (Some(Operation::Backup), "source-config.release"),
    // What the journal told of a backup that is published, which the next sweep removes.
    (Some(Operation::Backup), "target.remove_tree"),
    // It ends by itself with the process, or in time.
    (None, "target.release"),
    // A warning; what it leaves is no object.
    (None, "target.discard_unfinished"),
    // What can't be read can still be deleted.
    (Some(Operation::Delete), "target.get"),
    // Whether the new id is taken already: a target that does not say is found out by the first write.
    (Some(Operation::Backup), "target.get"),
    (Some(Operation::Backup), "target.list_children"),
    // The journal of a backup that is published, which the next sweep removes.
    (Some(Operation::Backup), "target.delete"),
    // The fault is behind the last row, where nobody looks any more.
    (Some(Operation::Restore), "source-metadata.needed"),
];

/// The operation failed, with the error and what it is about in its answer; or it went well, which is known of these calls.
pub fn failed_well(
    operation: Operation,
    output: &Output,
    fault: &str,
    call: &str,
    case: &str,
) -> bool {
    let said = text(output);
    assert!(
        !said.contains("internal fault") && !said.contains("panicked"),
        "{case}: {said}"
    );
    let mut columns = call.split('\t').skip(1);
    let (name, subject) = (columns.next().unwrap(), columns.next().unwrap_or_default());
    if output.status.success() {
        let known = (TOLERATED.iter())
            .any(|(of, call)| of.is_none_or(|of| of == operation) && *call == name);
        // Live data that is read wrong is other data, and replaced.
        let replaced =
            operation == Operation::Restore && name == "storage.get" && !fault.starts_with("error");
        // A bit that was flipped on the way once is right when the file is read again.
        let healed = fault.starts_with("flip-read") && name == "target.get";
        // A file that ends early may have been changed: it is looked at anew, and is whole then.
        let healed = healed
            || fault.starts_with("short-read")
                && operation == Operation::Backup
                && ["storage.get", "source-data.open"].contains(&name);
        assert!(
            known || replaced || healed,
            "{case}: it says that all is well: {said}"
        );
        return false;
    }
    assert_eq!(output.status.code(), Some(1), "{case}: {said}");
    let reason = match fault.split(':').next() {
        Some("error" | "error-after" | "unavailable" | "throttled" | "short-write") => {
            faults::INJECTED
        }
        Some("no-space") => faults::FULL,
        _ => "",
    };
    assert!(said.contains(reason), "{case}: {said}");
    let file = subject.rsplit('/').next().unwrap_or_default();
    assert!(
        said.contains(file),
        "{case}: it does not name the file: {said}"
    );
    true
}
