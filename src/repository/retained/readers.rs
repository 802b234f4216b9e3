//! Readers of backups, of which nothing may be removed meanwhile.

use crate::Result;
use crate::repository::Repository;

impl Repository {
    /// Fails if somebody reads a backup in the target. To be called, with the target's lock held,
    /// before anything of a published backup is removed.
    #[allow(clippy::unused_async, reason = "it will ask the target")]
    pub(crate) async fn check_no_readers(&self) -> Result<()> {
        Ok(())
    }
}
