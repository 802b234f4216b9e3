//! Making a whole backup survive a loss of power at once.

use arc_backup_core::{Durability, Result};
use async_trait::async_trait;
#[cfg(target_os = "linux")]
use rustix::io::Errno;

use crate::error::blocking;
use crate::root::{OpenRoot, Root};
#[cfg(target_os = "linux")]
use crate::unsupported::is_unsupported;

/// Whether one call can make everything durable; where not, every commit does so for itself.
pub(crate) const HAS_SYNCFS: bool = cfg!(target_os = "linux");

/// A mark, which is an open handle on the file system of the root.
///
/// It has to be open before the first write: the kernel reports a failed write-back once to each
/// handle that was open when it happened, and never to one opened later.
pub(crate) struct SyncPoint {
    root: OpenRoot,
    text: String,
}

impl SyncPoint {
    /// Opens a mark, and creates the root when it is missing.
    pub(crate) async fn open(root: Root) -> Result<Self> {
        let text = root.text();
        let opened = blocking("open", &text, move || root.open_or_create()).await?;
        Ok(Self { root: opened, text })
    }
}

#[async_trait]
impl Durability for SyncPoint {
    async fn sync(&self) -> Result<()> {
        let root = self.root.clone();
        blocking("sync", &self.text, move || {
            #[cfg(target_os = "linux")]
            match rustix::fs::syncfs(&*root.folder) {
                // An old kernel or a sandbox without the call: everything of this machine is
                // written, then.
                Err(errno) if errno == Errno::PERM || is_unsupported(errno) => {
                    rustix::fs::sync();
                    root.folder.sync()?;
                }
                done => done?,
            }
            #[cfg(not(target_os = "linux"))]
            root.folder.sync()?;
            Ok(())
        })
        .await
    }
}
