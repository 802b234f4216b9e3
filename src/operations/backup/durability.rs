//! Whether what a backup has stored is of use to the next one.

use arc_backup_core::{Error as CoreError, ErrorKind, Sink};

use crate::{Error, Result};

/// What faults of writing say of all that was stored before.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Whether a commit is not durable by itself.
    is_deferred: bool,
    lost: bool,
}

impl Trust {
    pub(crate) fn new(target: &dyn Sink) -> Self {
        Self {
            is_deferred: target.deferred_durability().is_some(),
            lost: false,
        }
    }

    /// Takes note of a fault of writing to the target. One that is full has its room back. A disk that did not take something
    /// tells so but once, to whoever asks first, and what it did not take is still read from memory as if it had.
    pub(crate) fn note(&mut self, fault: &CoreError) {
        match fault.kind() {
            ErrorKind::NoSpace => self.lost = true,
            ErrorKind::Other => self.lost |= self.is_deferred,
            // Refused, or never come to: what is there is as good as before.
            _ => {}
        }
    }

    /// The result of writing to the target, taken note of.
    pub(crate) fn watch<T>(&mut self, written: Result<T>) -> Result<T> {
        if let Err(Error::Storage(fault)) = &written {
            self.note(fault);
        }
        written
    }

    /// The same of making what was written durable: whatever failed then, some of it may not be on the disk.
    pub(crate) fn watch_durability<T>(&mut self, durable: Result<T, CoreError>) -> Result<T> {
        self.lost |= durable.is_err();
        Ok(durable?)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }
}
