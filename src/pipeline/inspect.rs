//! Looking at the bytes of an entry as they pass by.

use arc_backup_core::{Entry, Rows, SourceDamage};

/// What the bytes of an entry have shown.
#[derive(Debug, Clone, Copy)]
pub struct Findings {
    /// Its rows, where they are known.
    pub rows: Option<Rows>,
    /// What is wrong with it.
    pub damage: Option<SourceDamage>,
}

/// Looks at the bytes of one entry while they are copied.
pub trait Inspector: Send {
    /// The next bytes, in order.
    fn take(&mut self, bytes: &[u8]);

    /// Whether [`finish`](Inspector::finish) takes some milliseconds at most, so that no other
    /// thread need be asked.
    fn is_quick(&self) -> bool;

    /// What the bytes have shown. Called once all of them were taken; it may block.
    fn finish(self: Box<Self>) -> Findings;
}

/// Gives the inspector of an entry; `None` for one that is not looked at.
pub type Inspect = fn(&Entry) -> Option<Box<dyn Inspector>>;

/// Looks at nothing.
#[must_use]
pub fn inspect_nothing(_: &Entry) -> Option<Box<dyn Inspector>> {
    None
}
