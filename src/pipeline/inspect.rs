//! Looking at the bytes of an entry as they pass by.

use arc_backup_core::Entry;

/// Looks at the bytes of one entry while they are copied.
pub trait Inspector: Send {
    /// The next bytes, in order.
    fn take(&mut self, bytes: &[u8]);

    /// Notes in `entry` what the bytes have shown. Called once all of them were taken.
    fn finish(self: Box<Self>, entry: &mut Entry);
}

/// Gives the inspector of an entry; `None` for one that is not looked at.
pub type Inspect = fn(&Entry) -> Option<Box<dyn Inspector>>;

/// Looks at nothing.
#[must_use]
pub fn inspect_nothing(_: &Entry) -> Option<Box<dyn Inspector>> {
    None
}
