//! What faults of writing say of the files that a backup has stored before.

use arc_backup_core::{Error as CoreError, ErrorKind, Sink};

use crate::{Error, Result};

/// Whether files stored so far can be reused by the next backup.
#[derive(Debug)]
pub(crate) struct WriteFaults {
    /// Whether a commit is not durable by itself.
    is_deferred: bool,
    has_lost_files: bool,
}

impl WriteFaults {
    pub(crate) fn new(target: &dyn Sink) -> Self {
        Self {
            is_deferred: target.deferred_durability().is_some(),
            has_lost_files: false,
        }
    }

    /// Records a fault of writing to the target. A full one gets its room back. A disk that fails
    /// to write reports that once, to whoever asks first, and then serves the lost bytes from
    /// memory.
    pub(crate) fn record(&mut self, fault: &CoreError) {
        match fault.kind() {
            ErrorKind::NoSpace => self.has_lost_files = true,
            ErrorKind::Other => self.has_lost_files |= self.is_deferred,
            // Refused or unreachable: stored files are as good as before.
            _ => {}
        }
    }

    /// Records the fault of a write, if it has one, and returns its result.
    pub(crate) fn check<T>(&mut self, written: Result<T>) -> Result<T> {
        if let Err(error) = &written
            && let Error::Storage(fault) = error.root()
        {
            self.record(fault);
        }
        written
    }

    /// The same for making writes durable: where that fails, any of them may not be on the disk.
    pub(crate) fn check_durability<T>(&mut self, durable: Result<T, CoreError>) -> Result<T> {
        self.has_lost_files |= durable.is_err();
        Ok(durable?)
    }

    pub(crate) fn lost_stored_files(&self) -> bool {
        self.has_lost_files
    }
}
