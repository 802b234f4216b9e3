//! The slots of this instance: one for an operation that writes, and some for those that only read
//! backups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::Result;
use crate::operations::OperationKind;
use crate::operations::instance_lock::InstanceLock;
use crate::operations::reader_slots::{ReaderSlot, ReaderSlots};
use crate::repository::Holder;

/// The slots of this instance, in any process.
#[derive(Debug)]
pub(crate) struct Slots {
    /// The file that whoever writes keeps locked.
    lock_path: PathBuf,
    pub(crate) readers: ReaderSlots,
    /// Held while an operation that writes begins, in this process.
    pub(crate) starting: Mutex<()>,
    /// Held, shared, while others begin.
    starting_readers: RwLock<()>,
}

/// That an operation begins in this process.
#[allow(dead_code, reason = "held until it is dropped")]
pub(crate) enum Starting<'a> {
    Writer(MutexGuard<'a, ()>),
    Reader(RwLockReadGuard<'a, ()>),
}

/// A slot that is taken, across processes. Dropping it releases it.
#[allow(dead_code, reason = "held until it is dropped")]
pub(crate) enum Slot {
    Writer(InstanceLock),
    Reader(ReaderSlot),
}

impl Slot {
    pub(crate) fn is_reader(&self) -> bool {
        matches!(self, Self::Reader(_))
    }
}

impl Slots {
    pub(crate) fn new(state_folder: &Path) -> Self {
        Self {
            lock_path: state_folder.join("instance.lock"),
            readers: ReaderSlots::new(state_folder),
            starting: Mutex::default(),
            starting_readers: RwLock::default(),
        }
    }

    /// The file that whoever writes keeps locked.
    pub(crate) fn lock_path(&self) -> &Path {
        &self.lock_path
    }

    /// Waits for another operation of its sort that begins in this process: one that writes waits
    /// for `timeout`, and gets `None` afterwards.
    pub(crate) async fn begin(
        &self,
        kind: OperationKind,
        timeout: Duration,
    ) -> Option<Starting<'_>> {
        if kind.is_reader() {
            return Some(Starting::Reader(self.starting_readers.read().await));
        }
        let starting = tokio::time::timeout(timeout, self.starting.lock()).await;
        starting.ok().map(Starting::Writer)
    }

    /// Waits until no operation is about to begin in this process.
    pub(crate) async fn begun(&self) {
        let _ = futures::join!(self.starting.lock(), self.starting_readers.write());
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::Error::Busy) names an operation that has it.
    pub(crate) fn take(&self, kind: OperationKind, holder: &Holder) -> Result<Slot> {
        match kind.is_reader() {
            true => self.readers.take(holder).map(Slot::Reader),
            false => InstanceLock::take(&self.lock_path, holder).map(Slot::Writer),
        }
    }

    /// Returns who writes, in any process.
    pub(crate) fn writer(&self) -> Option<Holder> {
        InstanceLock::holder(&self.lock_path)
    }

    /// Returns who has a slot, in any process: who writes first, then the others, that which began
    /// last first.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        let mut all = self.readers.holders();
        all.extend(self.writer());
        all.reverse();
        all
    }
}
