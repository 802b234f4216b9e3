//! How far a copy is, and which files it copies.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_backup_core::Activity;

/// Counts files and bytes as they are done. Shared between the copy and those that show it.
#[derive(Debug, Default)]
pub struct Progress {
    total_files: AtomicU64,
    total_bytes: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    /// Steps of any kind.
    activity: Activity,
    under_way: Mutex<BTreeMap<u64, (String, &'static str)>>,
}

impl Progress {
    /// Adds files and bytes that are to be copied.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.total_files.fetch_add(files, Ordering::Relaxed);
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.activity.note();
    }

    /// Subtracts files and bytes that are not to be copied any more, and, where they were, from
    /// those that are done.
    pub fn forget(&self, files: u64, bytes: u64, done: bool) {
        self.total_files.fetch_sub(files, Ordering::Relaxed);
        self.total_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if done {
            self.files.fetch_sub(files, Ordering::Relaxed);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.activity.note();
    }

    /// Counts bytes as done.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.activity.note();
    }

    /// Subtracts bytes that are copied again.
    pub fn take_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts files as done.
    pub fn add_files(&self, files: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.activity.note();
    }

    /// Counts from nothing: what was gone through before was not the work itself.
    pub fn restart(&self) {
        for counter in [
            &self.total_files,
            &self.total_bytes,
            &self.files,
            &self.bytes,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.activity.note();
    }

    /// Files and bytes to do, files and bytes done.
    #[must_use]
    pub fn counts(&self) -> [u64; 4] {
        [
            &self.total_files,
            &self.total_bytes,
            &self.files,
            &self.bytes,
        ]
        .map(|n| n.load(Ordering::Relaxed))
    }

    /// The counter of steps of any kind.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Records that the file at `key` is being copied, until the returned guard is dropped.
    pub(super) fn begin(&self, key: &str) -> UnderWay<'_> {
        let mut under_way = self.files_under_way();
        let number = under_way.last_key_value().map_or(0, |(last, _)| last + 1);
        under_way.insert(number, (key.to_owned(), ""));
        drop(under_way);
        UnderWay {
            progress: self,
            number,
        }
    }

    /// The files that are being copied, in words: how many, and what is done to the one that began
    /// first.
    #[must_use]
    pub fn under_way(&self) -> Option<String> {
        let under_way = self.files_under_way();
        let (_, (key, step)) = under_way.first_key_value()?;
        Some(match under_way.len() {
            1 => format!("`{key}`: {step}"),
            count => format!("{count} files, the first of them `{key}`: {step}"),
        })
    }

    fn files_under_way(&self) -> MutexGuard<'_, BTreeMap<u64, (String, &'static str)>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is being copied.
pub(super) struct UnderWay<'a> {
    progress: &'a Progress,
    number: u64,
}

impl UnderWay<'_> {
    /// What is done to it now.
    pub(super) fn step(&self, step: &'static str) {
        if let Some((_, now)) = self.progress.files_under_way().get_mut(&self.number) {
            *now = step;
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.progress.files_under_way().remove(&self.number);
    }
}
