//! A source with faults.

use std::sync::Arc;

use arc_backup_core::{
    Activity, Body, ChangeStream, Discard, Discarded, Entry, EntryStream, Key, Reconciled, Restore,
    RestoreSummary, Result, Sink, Snapshot, SnapshotRequest, Source, SourceReport, Staging, Upload,
};
use async_trait::async_trait;

use super::body::spoiled;
use super::upload::Wrapped;
use super::{Plan, spoiled_rows};

/// A source of which one call goes wrong. Everything else it passes on.
pub struct FaultySource {
    place: String,
    inner: Arc<dyn Source>,
    plan: Arc<Plan>,
}

impl FaultySource {
    pub fn new(inner: Arc<dyn Source>, plan: Arc<Plan>) -> Self {
        let place = format!("source-{}", inner.section());
        Self { place, inner, plan }
    }
}

fn wrapped<T: ?Sized>(
    inner: Box<T>,
    plan: &Arc<Plan>,
    place: &str,
    subject: &str,
) -> Box<Wrapped<T>> {
    Box::new(Wrapped {
        inner,
        plan: plan.clone(),
        place: place.to_owned(),
        subject: subject.to_owned(),
    })
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Source for FaultySource {
    fn section(&self) -> &str {
        self.inner.section()
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<Box<dyn Snapshot>> {
        let work = self.inner.snapshot(request);
        let snapshot = self.plan.around(&self.place, "snapshot", "", work).await?;
        Ok(wrapped(snapshot, &self.plan, &self.place, ""))
    }

    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>> {
        let work = self.inner.restore(staging);
        let restore = self.plan.around(&self.place, "restore", "", work).await?;
        Ok(wrapped(restore, &self.plan, &self.place, ""))
    }

    fn files(&self) -> Option<Arc<dyn Sink>> {
        self.inner.files()
    }

    async fn discard_snapshots(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        let work = self.inner.discard_snapshots(discard, activity);
        self.plan
            .around(&self.place, "discard_snapshots", "", work)
            .await
    }

    async fn discard_unfinished(&self, discard: Discard) -> Result<Discarded> {
        let work = self.inner.discard_unfinished(discard);
        self.plan
            .around(&self.place, "discard_unfinished", "", work)
            .await
    }
}

/// The entries, as the fault makes them.
fn entries<'a>(
    plan: &Plan,
    place: &str,
    method: &'static str,
    rows: EntryStream<'a>,
) -> EntryStream<'a> {
    spoiled_rows(plan.next(place, method, ""), rows, method, place)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Snapshot for Wrapped<dyn Snapshot> {
    fn entries(&self) -> EntryStream<'_> {
        entries(&self.plan, &self.place, "entries", self.inner.entries())
    }

    async fn open(&self, entry: &Entry) -> Result<Body> {
        let fault = self.plan.next(&self.place, "open", &entry.key);
        self.plan.before(fault, "open", &entry.key).await?;
        let body = self.inner.open(entry).await;
        let body = self.plan.after(fault, "open", &entry.key, body).await?;
        spoiled(fault, body, &entry.key).await
    }

    async fn reconcile(&self, lost: &[Key]) -> Result<Option<Reconciled>> {
        let work = self.inner.reconcile(lost);
        self.plan.around(&self.place, "reconcile", "", work).await
    }

    fn report(&self) -> SourceReport {
        self.inner.report()
    }

    async fn release(self: Box<Self>) -> Result<()> {
        let Self {
            inner, plan, place, ..
        } = *self;
        plan.around(&place, "release", &place, inner.release())
            .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Restore for Wrapped<dyn Restore> {
    async fn plan(&self, entries: EntryStream<'_>) -> Result<RestoreSummary> {
        let work = self.inner.plan(entries);
        self.plan.around(&self.place, "plan", "", work).await
    }

    fn needed(&self) -> EntryStream<'_> {
        entries(&self.plan, &self.place, "needed", self.inner.needed())
    }

    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>> {
        let work = self.inner.begin(entry);
        let upload = self
            .plan
            .around(&self.place, "begin", &entry.key, work)
            .await?;
        Ok(wrapped(upload, &self.plan, &self.place, &entry.key))
    }

    async fn staged(&self, entry: &Entry) -> Result<()> {
        let work = self.inner.staged(entry);
        self.plan
            .around(&self.place, "staged", &entry.key, work)
            .await
    }

    async fn take_staged(&self, entry: &Entry) -> Result<bool> {
        let work = self.inner.take_staged(entry);
        self.plan
            .around(&self.place, "take_staged", &entry.key, work)
            .await
    }

    async fn ready(&self) -> Result<()> {
        self.plan
            .around(&self.place, "ready", &self.place, self.inner.ready())
            .await
    }

    async fn apply(&self) -> Result<()> {
        self.plan
            .around(&self.place, "apply", &self.place, self.inner.apply())
            .await
    }

    async fn finish(&self) -> Result<RestoreSummary> {
        self.plan
            .around(&self.place, "finish", &self.place, self.inner.finish())
            .await
    }

    async fn abort(&self) -> Result<()> {
        self.plan
            .around(&self.place, "abort", &self.place, self.inner.abort())
            .await
    }

    async fn leave_staged(&self) -> Result<u64> {
        let work = self.inner.leave_staged();
        self.plan
            .around(&self.place, "leave_staged", &self.place, work)
            .await
    }

    fn changes(&self) -> Option<ChangeStream<'_>> {
        self.inner.changes()
    }

    fn restored_so_far(&self) -> Option<u64> {
        self.inner.restored_so_far()
    }

    fn set_aside_so_far(&self) -> Option<(u64, String)> {
        self.inner.set_aside_so_far()
    }

    fn changes_while_staging(&self) -> bool {
        self.inner.changes_while_staging()
    }
}
