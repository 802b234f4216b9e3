//! Work that blocks a thread, and that nobody can end.

use std::sync::atomic::{AtomicUsize, Ordering};

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A piece of work on a thread of its own, from before it begins until it has ended.
///
/// The task that waits for the work may be aborted, and the thread then goes on unseen. Its locks
/// are given back only when no piece of work is under way.
#[derive(Debug)]
pub struct BlockingJob(());

impl BlockingJob {
    /// Counts one more. To be made before the thread is asked for, and moved into its work.
    #[must_use]
    pub fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// How many are under way in this process.
    #[must_use]
    pub fn under_way() -> usize {
        UNDER_WAY.load(Ordering::SeqCst)
    }
}

impl Drop for BlockingJob {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}
