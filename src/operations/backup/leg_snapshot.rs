//! The part of a snapshot that goes to one target.

use arc_backup_core::{
    Body, Databases, Entry, EntryStream, Error as CoreError, Key, Reconciled, Snapshot,
    SourceReport,
};
use async_trait::async_trait;
use futures::StreamExt;

/// A snapshot of the data, of some databases only. All legs of a backup are of the same snapshot,
/// and so of the same moment.
pub(crate) struct LegSnapshot<'a> {
    pub(crate) snapshot: &'a dyn Snapshot,
    pub(crate) databases: &'a Databases,
}

#[async_trait]
impl Snapshot for LegSnapshot<'_> {
    fn entries(&self) -> EntryStream<'_> {
        let is_here = |entry: &Result<Entry, CoreError>| match entry {
            Ok(entry) => self.databases.contain(&entry.key),
            Err(_) => true,
        };
        let entries = self.snapshot.entries();
        (entries.filter(move |entry| std::future::ready(is_here(entry)))).boxed()
    }

    async fn open(&self, entry: &Entry) -> Result<Body, CoreError> {
        self.snapshot.open(entry).await
    }

    async fn reconcile(&self, lost: &[Key]) -> Result<Option<Reconciled>, CoreError> {
        self.snapshot.reconcile(lost).await
    }

    /// Without what concerns the whole snapshot: the default leg has that.
    fn report(&self) -> SourceReport {
        let mut report = SourceReport::default();
        let all = self.snapshot.report();
        (report.origin, report.method, report.moment) = (all.origin, all.method, all.moment);
        report
    }

    async fn release(self: Box<Self>) -> Result<(), CoreError> {
        Ok(())
    }
}
