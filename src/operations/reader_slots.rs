//! The slots of operations that only read backups. They run beside a backup and beside each other.
//!
//! Each has a file of its own in the state folder, `running/<operation id>.lock`, which it keeps
//! locked: any process of this instance knows an operation that runs from one that crashed.

use std::path::{Path, PathBuf};

use crate::operations::instance_lock::InstanceLock;
use crate::repository::Holder;
use crate::{Error, Result};

/// How many run at once on an instance.
pub(crate) const MAX_READERS: usize = 4;
/// The folder of the files.
const FOLDER: &str = "running";
/// The suffix of their names.
const SUFFIX: &str = ".lock";
/// Attempts to take a slot whose file somebody else removes at that moment.
const MAX_ATTEMPTS: usize = 100;

/// The folder of the slots.
#[derive(Debug, Clone)]
pub(crate) struct ReaderSlots(PathBuf);

impl ReaderSlots {
    pub(crate) fn new(state_folder: &Path) -> Self {
        Self(state_folder.join(FOLDER))
    }

    fn path(&self, operation_id: &str) -> PathBuf {
        self.0.join(format!("{operation_id}{SUFFIX}"))
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// [`Error::Busy`] names an operation that has one, if all are taken.
    pub(crate) fn take(&self, holder: &Holder) -> Result<ReaderSlot> {
        let path = self.path(&holder.operation_id);
        let mut taken = None;
        for _ in 0..MAX_ATTEMPTS {
            let lock = InstanceLock::take(&path, holder)?;
            if lock.is_at(&path) {
                taken = Some(lock);
                break;
            }
        }
        let Some(lock) = taken else {
            return Err(Error::Failed(format!(
                "`{}` is removed again and again",
                path.display()
            )));
        };
        let slot = ReaderSlot { path, lock };
        // Of those that come at the same moment the older ones stay: ids begin with the time.
        let older: Vec<_> = (self.holders().into_iter())
            .filter(|other| other.operation_id < holder.operation_id)
            .collect();
        match older.into_iter().nth(MAX_READERS - 1) {
            Some(other) => Err(other.into()),
            None => Ok(slot),
        }
    }

    /// Returns the operation of this id, if it runs.
    pub(crate) fn holder(&self, operation_id: &str) -> Option<Holder> {
        let is_name = !operation_id.is_empty() && !operation_id.contains(['/', '\0']);
        let holder = (is_name.then(|| InstanceLock::holder(&self.path(operation_id))))??;
        Some(match holder.is_unknown() {
            // It has only just begun, or the disk is full.
            true => Holder {
                operation_id: operation_id.to_owned(),
                ..holder
            },
            false => holder,
        })
    }

    /// Whether the operation of this id runs, in any process.
    pub(crate) fn is_held(&self, operation_id: &str) -> bool {
        self.holder(operation_id).is_some()
    }

    /// Returns the operations that run, oldest first.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        let mut ids = self.ids();
        ids.sort();
        ids.iter().filter_map(|id| self.holder(id)).collect()
    }

    /// Removes the files of crashed operations. Before that, `first` is given the id of each, while
    /// nobody can take its slot.
    pub(crate) fn remove_dead(&self, first: impl Fn(&str)) {
        for id in self.ids() {
            InstanceLock::remove_free(&self.path(&id), || first(&id));
        }
    }

    fn ids(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        files
            .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(SUFFIX)?.to_owned()))
            .collect()
    }
}

/// A slot that is taken. Dropping it releases it.
pub(crate) struct ReaderSlot {
    path: PathBuf,
    /// Released after its file is removed: nobody else may take a file that goes.
    #[allow(dead_code, reason = "it is held until it is dropped")]
    lock: InstanceLock,
}

impl Drop for ReaderSlot {
    fn drop(&mut self) {
        // The next operation removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a verification that counts as crashed while it runs, and against any number
    /// of them at once.
    #[test]
    fn a_slot_is_held_until_it_is_dropped_and_there_are_four() {
        let folder = tempfile::tempdir().expect("a folder");
        let slots = ReaderSlots::new(folder.path());
        assert!(slots.holders().is_empty() && !slots.is_held("a"));
        let take = |id: &str| slots.take(&Holder::this("verify", id));
        let held: Vec<_> = ["a", "b", "c", "d"]
            .map(|id| take(id).expect("a slot"))
            .into();
        assert!(slots.is_held("a") && !slots.is_held("e") && !slots.is_held("../x"));
        let Err(Error::Busy(busy)) = take("e") else {
            panic!("a fifth one");
        };
        assert_eq!(busy.holder.operation_id, "d");
        assert!(!slots.is_held("e"));
        slots.remove_dead(|id| panic!("{id} runs"));
        assert_eq!(slots.holders().len(), 4);
        drop(held);
        assert!(slots.holders().is_empty() && take("e").is_ok());
        // One that crashed: its file is there, and nobody holds it.
        std::fs::write(slots.path("crashed"), b"{}").expect("room");
        assert!(!slots.is_held("crashed"));
        let removed = std::cell::RefCell::new(String::new());
        slots.remove_dead(|id| *removed.borrow_mut() = id.to_owned());
        assert_eq!(removed.into_inner(), "crashed");
        let left = std::fs::read_dir(folder.path().join(FOLDER)).expect("a folder");
        assert_eq!(left.count(), 0);
    }
}
