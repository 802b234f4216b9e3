//! What the failure of one deletion means for the others.

use arc_backup_core::ErrorKind;

use crate::Error;

/// Whether the next deletion would fail in the same way.
pub(super) fn ends(error: &Error) -> bool {
    let is_gone = |kind| matches!(kind, ErrorKind::Unavailable | ErrorKind::Throttled);
    error.is_cancelled()
        || matches!(error.root(), Error::Busy(_))
        || error
            .storage_fault()
            .is_some_and(|fault| is_gone(fault.kind()))
}

/// Whether the deletion may work when others were deleted: it was refused because it is not known
/// what one of them needs.
pub(super) fn may_pass(error: &Error) -> bool {
    matches!(
        error.root(),
        Error::Damaged { .. } | Error::Unreadable { .. } | Error::Failed(_)
    )
}
