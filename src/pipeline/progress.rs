//! How far a copy is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts files and bytes as they are done. Shared between the copy and whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    total_files: AtomicU64,
    total_bytes: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Adds to what there is to do.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.total_files.fetch_add(files, Ordering::Relaxed);
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back that there was something to do, and, if it was done, that.
    pub fn forget(&self, files: u64, bytes: u64, done: bool) {
        self.total_files.fetch_sub(files, Ordering::Relaxed);
        self.total_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if done {
            self.files.fetch_sub(files, Ordering::Relaxed);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Notes bytes as done.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes back bytes that are copied again.
    pub fn take_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Notes files as done.
    pub fn add_files(&self, files: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
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
}
