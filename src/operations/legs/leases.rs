//! The leases in all targets that an operation reads from, as one lock.

use std::sync::Arc;

use arc_backup_core::{ErrorKind, LockGuard};

use super::locks::RunLocks;
use crate::repository::{Holder, Repository};
use crate::{Error, Result};

/// Takes a lease in a target, or in all targets of a run: nothing of a backup there is deleted
/// before they are released. A target that can't be written has none; the texts are warnings about
/// a deletion there.
///
/// # Errors
/// [`Error::Busy`] names a delete, prune or sweep that runs in one of the targets. Leases that were
/// taken are released.
pub(crate) async fn take(
    repository: &Repository,
    holder: &Holder,
) -> Result<(Option<Arc<dyn LockGuard>>, Vec<String>)> {
    let (mut leases, mut warnings) = (RunLocks::default(), Vec::new());
    for part in repository.parts() {
        match part.reader_lease(holder).await {
            Ok(lease) => leases.push(part, lease),
            // Credentials that may only read, a file system that is mounted so, or one without
            // locks.
            Err(error) if can_only_be_read(&error) => {
                if let Ok(Some(busy)) = part.deleter().await {
                    warnings.push(format!(
                        "files may be deleted while they are read, as no lease can be written in {}: {busy}",
                        part.label()
                    ));
                }
            }
            Err(error) => {
                leases.give_up().await;
                return Err(error);
            }
        }
    }
    Ok((leases.into_lock(repository), warnings))
}

fn can_only_be_read(error: &Error) -> bool {
    (error.storage_fault()).is_some_and(|fault| {
        matches!(
            fault.kind(),
            ErrorKind::PermissionDenied | ErrorKind::Unsupported
        )
    })
}
