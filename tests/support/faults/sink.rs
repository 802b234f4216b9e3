//! A sink with faults.

use std::sync::Arc;

use arc_backup_core::{
    Activity, Address, AsideArea, AsideMode, Capabilities, Child, Discard, Discarded, Durability,
    GetOptions, Key, ListOptions, ListStream, LockOutcome, Meta, Object, Pins, Result, Sink,
    Upload, WriteOptions,
};
use async_trait::async_trait;

use super::body::spoiled;
use super::upload::Wrapped;
use super::{Plan, spoiled_rows};

/// A sink of which one call goes wrong. Everything else it passes on.
#[derive(Debug)]
pub struct FaultySink {
    place: String,
    inner: Arc<dyn Sink>,
    plan: Arc<Plan>,
}

impl FaultySink {
    pub fn new(place: String, inner: Arc<dyn Sink>, plan: Arc<Plan>) -> Self {
        Self { place, inner, plan }
    }

    fn wrapped<T: ?Sized>(&self, inner: Box<T>, subject: &str) -> Box<Wrapped<T>> {
        Box::new(Wrapped {
            inner,
            plan: self.plan.clone(),
            place: self.place.clone(),
            subject: subject.to_owned(),
        })
    }
}

#[async_trait]
impl Sink for FaultySink {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        let work = self.inner.begin(key, options);
        let upload = self.plan.around(&self.place, "begin", key, work).await?;
        Ok(self.wrapped(upload, key))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let fault = self.plan.next(&self.place, "get", key);
        self.plan.before(fault, "get", key).await?;
        let got = self.inner.get(key, options).await;
        let mut object = self.plan.after(fault, "get", key, got).await?;
        object.body = spoiled(fault, object.body, key).await?;
        Ok(object)
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        let work = self.inner.head(key);
        self.plan.around(&self.place, "head", key, work).await
    }

    fn list(&self, options: ListOptions) -> ListStream {
        let subject = options.prefix.clone();
        let rows = self.inner.list(options);
        let fault = self.plan.next(&self.place, "list", &subject);
        spoiled_rows(fault, rows, "list", &subject)
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        let work = self.inner.list_children(folder);
        let subject = folder.map(Key::to_string).unwrap_or_default();
        self.plan
            .around(&self.place, "list_children", &subject, work)
            .await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let work = self.inner.delete(keys);
        let subject = keys.first().map(Key::to_string).unwrap_or_default();
        self.plan
            .around(&self.place, "delete", &subject, work)
            .await
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }

    fn keeps_deleted(&self) -> bool {
        self.inner.keeps_deleted()
    }

    fn proxy(&self) -> Option<String> {
        self.inner.proxy()
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        let work = self.inner.lock(key, holder);
        Ok(
            match self.plan.around(&self.place, "lock", key, work).await? {
                LockOutcome::Held(guard) => LockOutcome::Held(self.wrapped(guard, key)),
                busy @ LockOutcome::Busy(_) => busy,
            },
        )
    }

    async fn free_lock(&self, key: &Key, holder: &str) -> Result<()> {
        let work = self.inner.free_lock(key, holder);
        self.plan.around(&self.place, "free_lock", key, work).await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        let work = self.inner.lock_holder(key);
        self.plan
            .around(&self.place, "lock_holder", key, work)
            .await
    }

    async fn remove_tree(&self, folder: &Key, activity: &Activity) -> Result<()> {
        let work = self.inner.remove_tree(folder, activity);
        self.plan
            .around(&self.place, "remove_tree", folder, work)
            .await
    }

    async fn discard_unfinished(
        &self,
        folder: Option<&Key>,
        discard: Discard,
    ) -> Result<Discarded> {
        let work = self.inner.discard_unfinished(folder, discard);
        let subject = folder.map(Key::to_string).unwrap_or_default();
        self.plan
            .around(&self.place, "discard_unfinished", &subject, work)
            .await
    }

    async fn durability(&self) -> Result<Box<dyn Durability>> {
        let work = self.inner.durability();
        let mark = self
            .plan
            .around(&self.place, "durability", "", work)
            .await?;
        Ok(self.wrapped(mark, "durability"))
    }

    async fn free_space(&self) -> Result<Option<u64>> {
        let work = self.inner.free_space();
        self.plan.around(&self.place, "free_space", "", work).await
    }

    fn address(&self, key: &Key) -> Option<Address> {
        self.inner.address(key)
    }

    async fn copy_from(&self, from: &Address, key: &Key) -> Result<Meta> {
        let work = self.inner.copy_from(from, key);
        self.plan.around(&self.place, "copy_from", key, work).await
    }

    async fn duplicate(&self, from: &Key, to: &Key) -> Result<Meta> {
        let work = self.inner.duplicate(from, to);
        self.plan.around(&self.place, "duplicate", to, work).await
    }

    async fn move_tree(&self, from: &Key, to: &Key, activity: &Activity) -> Result<()> {
        let work = self.inner.move_tree(from, to, activity);
        self.plan.around(&self.place, "move_tree", from, work).await
    }

    async fn pins(&self, area: &str) -> Result<Box<dyn Pins>> {
        let work = self.inner.pins(area);
        let pins = self.plan.around(&self.place, "pins", area, work).await?;
        Ok(self.wrapped(pins, area))
    }

    async fn discard_pins(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        let work = self.inner.discard_pins(discard, activity);
        self.plan
            .around(&self.place, "discard_pins", "", work)
            .await
    }

    async fn promote(&self, key: &Key, stage: &str) -> Result<()> {
        let work = self.inner.promote(key, stage);
        self.plan.around(&self.place, "promote", key, work).await
    }

    async fn staged(&self, key: &Key, stage: &str) -> Result<Option<Object>> {
        let work = self.inner.staged(key, stage);
        self.plan.around(&self.place, "staged", key, work).await
    }

    async fn discard_staged(&self, key: &Key, stage: &str) -> Result<()> {
        let work = self.inner.discard_staged(key, stage);
        self.plan
            .around(&self.place, "discard_staged", key, work)
            .await
    }

    async fn set_aside(&self, key: &Key, area: &str, mode: AsideMode) -> Result<()> {
        let work = self.inner.set_aside(key, area, mode);
        self.plan.around(&self.place, "set_aside", key, work).await
    }

    async fn prepare_aside(&self, area: &str, bytes: u64) -> Result<()> {
        let work = self.inner.prepare_aside(area, bytes);
        self.plan
            .around(&self.place, "prepare_aside", area, work)
            .await
    }

    async fn remove_aside(&self, area: &str, activity: &Activity) -> Result<()> {
        let work = self.inner.remove_aside(area, activity);
        self.plan
            .around(&self.place, "remove_aside", area, work)
            .await
    }

    async fn list_aside(&self) -> Result<Vec<AsideArea>> {
        self.inner.list_aside().await
    }

    fn aside_location(&self, area: &str) -> Option<String> {
        self.inner.aside_location(area)
    }
}

#[async_trait]
impl Pins for Wrapped<dyn Pins> {
    async fn pin(&self, keys: &[Key]) -> Result<Vec<Option<Meta>>> {
        let work = self.inner.pin(keys);
        let subject = keys.first().map(Key::to_string).unwrap_or_default();
        self.plan.around(&self.place, "pin", &subject, work).await
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let fault = self.plan.next(&self.place, "get", key);
        self.plan.before(fault, "get", key).await?;
        let got = self.inner.get(key, options).await;
        let mut object = self.plan.after(fault, "get", key, got).await?;
        object.body = spoiled(fault, object.body, key).await?;
        Ok(object)
    }

    async fn release(self: Box<Self>, activity: &Activity) -> Result<()> {
        let Self {
            inner,
            plan,
            place,
            subject,
        } = *self;
        plan.around(&place, "unpin", &subject, inner.release(activity))
            .await
    }
}
