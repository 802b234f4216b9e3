//! Signs that work goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what goes on in one operation: an entry listed, an object removed, a piece copied.
/// Whoever watches the operation sees by it that nothing hangs. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<AtomicU64>);

impl Activity {
    /// Notes that something went on.
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that changes whenever something goes on.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
