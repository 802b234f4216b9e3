//! Leftovers: files of interrupted uploads, restores and snapshots.

use crate::{Error, Result};

/// What to do with leftovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Discard {
    /// Count them, and change nothing.
    Count,
    /// Remove them.
    Remove,
}

/// The leftovers that were found, and removed where that was asked for.
#[derive(Debug, Default)]
pub struct Discarded {
    /// How many there were; of those to be removed, how many are gone.
    pub count: u64,
    /// What could not be looked at or removed: it keeps nothing else from being removed.
    pub faults: Vec<Error>,
}

impl Discarded {
    /// So many, and no fault.
    #[must_use]
    pub fn of(count: u64) -> Self {
        Self {
            count,
            faults: Vec::new(),
        }
    }

    /// Adds what was found elsewhere, or why nothing was.
    pub fn add(&mut self, other: Result<Self>) {
        match other {
            Ok(other) => {
                self.count += other.count;
                self.faults.extend(other.faults);
            }
            Err(error) => self.faults.push(error),
        }
    }

    /// How many there were, where there was no fault.
    ///
    /// # Errors
    /// The first fault.
    pub fn whole(self) -> Result<u64> {
        match self.faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(self.count),
        }
    }
}
