//! The reader lease of a single look into a backup.

use std::sync::Arc;

use arc_backup_core::LockGuard;
use jiff::Timestamp;

use crate::Result;
use crate::operations::legs::leases;
use crate::repository::{Holder, Repository};

/// The name of such a look in its lease: a deletion that it keeps waiting names it.
const READ: &str = "read";

/// A lease that is given back when this is dropped.
pub(super) struct ReadLease(Option<Arc<dyn LockGuard>>);

impl ReadLease {
    /// Takes one in each target of the backup that can be written.
    ///
    /// # Errors
    /// [`crate::Error::Busy`] names a delete, prune or sweep that runs there.
    pub(super) async fn take(repository: &Repository) -> Result<Self> {
        let operation_id = format!(
            "{}-{}",
            Timestamp::now().strftime("%Y%m%d-%H%M%S"),
            crate::random::random_hex::<4>()?
        );
        let holder = Holder::this(READ, &operation_id);
        let (lease, warnings) = leases::take(repository, &holder).await?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self(lease))
    }

    /// Gives it back.
    pub(super) async fn release(mut self) {
        if let Some(lease) = self.0.take() {
            give_back(lease).await;
        }
    }
}

impl Drop for ReadLease {
    fn drop(&mut self) {
        // Without a runtime the process ends, and the lease with it or when it expires.
        if let (Some(lease), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(give_back(lease));
        }
    }
}

async fn give_back(lease: Arc<dyn LockGuard>) {
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "cannot release a lease");
    }
}
