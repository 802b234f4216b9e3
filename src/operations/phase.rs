//! The phases of operations.

use crate::operations::named::named;

named! {
    /// The phase of an operation.
    pub enum Phase {
        /// Backup: leftovers are removed, and the journal is written.
        Preparing = "preparing",
        /// Snapshots or files of an ended operation are removed.
        CleaningUp = "cleaning up",
        /// Backup: files of an interrupted backup are reused.
        Continuing = "continuing",
        /// Backup: unchanged files of an earlier backup are reused.
        Reusing = "reusing",
        /// Backup: Arc is asked to write its buffers.
        Flushing = "flushing",
        /// Backup: the snapshot is taken and listed.
        Listing = "listing",
        /// Restore: Arc is compacting.
        WaitingForCompaction = "waiting for Arc's compaction",
        /// Backup: files are copied.
        Copying = "copying",
        /// Backup: inventory and manifest are written.
        Publishing = "publishing",
        /// Restore and verify: the backup's files are listed and compared with its inventory.
        Checking = "checking",
        /// Restore: files are staged.
        Staging = "staging",
        /// Restore: files of the backup that are live already are verified.
        Verifying = "verifying",
        /// Restore: live files are replaced.
        Applying = "applying",
        /// Restore: the restored files are listed once more.
        FinalCheck = "checking what was restored",
        /// Verify: manifest and inventory are read.
        ReadingInventory = "reading the inventory",
        /// Verify: files are read.
        Reading = "reading",
        /// Rehearse: files are restored to a scratch folder, and opened.
        Rehearsing = "rehearsing",
        /// Delete: files are removed.
        Deleting = "deleting",
    }
}
