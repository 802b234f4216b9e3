//! The uploads that this process has under way.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many uploads of each name this process has under way, and the names of those that it could
/// not end.
#[derive(Debug, Clone, Default)]
pub(crate) struct UploadsUnderWay {
    counts: Arc<Mutex<HashMap<String, usize>>>,
    left: Arc<Mutex<BTreeSet<String>>>,
}

impl UploadsUnderWay {
    /// Counts an upload of `name` for as long as the guard lives.
    pub(crate) fn enter(&self, name: &str) -> UploadUnderWay {
        *self.counts().entry(name.to_owned()).or_default() += 1;
        UploadUnderWay {
            uploads: self.clone(),
            name: name.to_owned(),
        }
    }

    /// Whether there is one upload of `name` here, and no other.
    pub(crate) fn is_alone(&self, name: &str) -> bool {
        self.counts().get(name) == Some(&1)
    }

    /// Takes note that an upload of `name` could not be ended.
    pub(crate) fn leave(&self, name: &str) {
        self.left().insert(name.to_owned());
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn left(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upload that is under way, for as long as this lives.
#[derive(Debug)]
pub(crate) struct UploadUnderWay {
    uploads: UploadsUnderWay,
    name: String,
}

impl Drop for UploadUnderWay {
    fn drop(&mut self) {
        let mut counts = self.uploads.counts();
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}
