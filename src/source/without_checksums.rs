//! Which files of a backup have no checksums: all of those that Arc before 27.01 made, and the
//! companions of data files in those of Arc 27.01.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::manifest::is_data_file;

/// The kinds of files that have no checksums; a million keys would need memory.
#[derive(Debug, Default)]
pub(super) struct WithoutChecksums {
    data_files: AtomicBool,
    companions: AtomicBool,
}

impl WithoutChecksums {
    /// Records that the file at `key` has none.
    pub(super) fn add(&self, key: &str) {
        self.of(key).store(true, Ordering::Relaxed);
    }

    /// Whether the file at `key` has none.
    pub(super) fn has(&self, key: &str) -> bool {
        self.of(key).load(Ordering::Relaxed)
    }

    fn of(&self, key: &str) -> &AtomicBool {
        match is_data_file(key) {
            true => &self.data_files,
            false => &self.companions,
        }
    }
}
