//! Checks that an operation with a fault has reported it, with its cause and its subject.

use std::process::Output;

use crate::faults;
use crate::support::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Backup,
    /// One that reuses the files of an earlier backup.
    Incremental,
    Restore,
    Delete,
    /// Of a backup of which others need files.
    DeleteBase,
    Sweep,
}

impl Operation {
    pub fn is_backup(self) -> bool {
        matches!(self, Self::Backup | Self::Incremental)
    }

    pub fn is_deletion(self) -> bool {
        matches!(self, Self::Delete | Self::DeleteBase)
    }

    /// Whether a rule for `other` is one for this.
    fn is(self, other: Self) -> bool {
        self == other || (self.is_backup() && other == Self::Backup)
    }
}

/// Calls that an operation does not need: it warns, or repeats them later.
const TOLERATED: [(Option<Operation>, &str); 17] = [
    // Leftovers of a crash only use space: the operation warns, and the next one removes them.
    (None, "storage.discard_snapshots"),
    (None, "source-data.discard_snapshots"),
    (None, "source-metadata.discard_snapshots"),
    (None, "source-config.discard_snapshots"),
    (Some(Operation::Backup), "storage.release_snapshot"),
    (Some(Operation::Backup), "source-data.release"),
    (Some(Operation::Backup), "source-metadata.release"),
    (Some(Operation::Backup), "source-config.release"),
    // The journal of a published backup, which the next sweep removes.
    (Some(Operation::Backup), "target.remove_tree"),
    // The lock ends with the process, or after its time.
    (None, "target.release"),
    // The operation warns; the leftover is not an object.
    (None, "target.discard_unfinished"),
    // An unreadable backup can still be deleted.
    (Some(Operation::Delete), "target.get"),
    (Some(Operation::DeleteBase), "target.get"),
    // Checks whether the new id is taken. If the target does not answer, the first write fails.
    (Some(Operation::Backup), "target.get"),
    (Some(Operation::Backup), "target.list_children"),
    // The journal of a published backup, which the next sweep removes.
    (Some(Operation::Backup), "target.delete"),
    // The fault comes after the last row, where nobody reads any more.
    (Some(Operation::Restore), "source-metadata.needed"),
];

/// The operation failed, and its answer has the error and its subject; or it succeeded, which is
/// expected for these calls.
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
            .any(|(of, call)| of.is_none_or(|of| operation.is(of)) && *call == name);
        // Live data that is read wrong counts as different, and is replaced.
        let replaced =
            operation == Operation::Restore && name == "storage.get" && !fault.starts_with("error");
        // A bit that is flipped once on the way is right at the second read.
        let healed = fault.starts_with("flip-read") && name == "target.get";
        // A file that ends early may have changed: it is read again, and is whole then.
        let healed = healed
            || fault.starts_with("short-read")
                && operation.is_backup()
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

/// The fault at a call. With a `+`, it also happens at each later call. 0 means no call.
pub fn at(fault: &str, number: usize) -> String {
    match fault.strip_suffix('+') {
        Some(fault) if number > 0 => format!("{fault}:{number}+"),
        _ => format!("{}:{number}", fault.trim_end_matches('+')),
    }
}

/// What a panic says.
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}
