//! Entity tags that prove nothing: a restore into a third party's storage.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::sync::Arc;

use arc_backup::testing::{Exclusions, ParquetSource};
use arc_backup_core::{
    Activity, Child, Digest, EntityTag, Entry, ExtraFiles, GetOptions, Key, ListOptions,
    ListStream, LockOutcome, MemorySink, Meta, Object, OperationId, RestoreSummary, Result, Sink,
    SinkProperties, Source, StagedBefore, Staging, Upload, WriteOptions,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

/// A storage that can't stage, with tags of this strength.
#[derive(Debug)]
struct Tagged(MemorySink, EntityTag);

#[async_trait]
impl Sink for Tagged {
    fn location(&self) -> String {
        self.0.location()
    }
    fn properties(&self) -> SinkProperties {
        let mut properties = self.0.properties();
        properties.entity_tag = self.1;
        properties
    }
    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        self.0.begin(key, options).await
    }
    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        self.0.get(key, options).await
    }
    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        self.0.head(key).await
    }
    fn list(&self, options: ListOptions) -> ListStream {
        self.0.list(options)
    }
    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        self.0.list_children(folder).await
    }
    async fn delete(&self, keys: &[Key]) -> Result<()> {
        self.0.delete(keys).await
    }
    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        self.0.lock(key, holder).await
    }
    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.0.lock_holder(key).await
    }
}

/// The plan of a restore of `backed_up` where `live` has the same key, size and entity tag.
async fn plan(tag: EntityTag, backed_up: &[u8], live: &'static [u8]) -> RestoreSummary {
    let (sink, key) = (MemorySink::new(), Key::parse("iot/cpu/a.parquet").unwrap());
    let mut upload = sink.begin(&key, WriteOptions::default()).await.unwrap();
    upload.write(Bytes::from_static(live)).await.unwrap();
    let meta = upload.commit().await.unwrap();
    let entry = Entry {
        sha256: Some(Digest::of(backed_up)),
        etag: meta.etag,
        ..Entry::new(key, meta.size)
    };
    let scratch = tempfile::tempdir().unwrap();
    let id = OperationId::parse("test").unwrap();
    let staging = Staging {
        operation_id: id.clone(),
        scratch: scratch.path().to_owned(),
        stage: id,
        staged_before: StagedBefore::Nothing,
        is_new: false,
        cancel: tokio_util::sync::CancellationToken::new(),
        activity: Activity::default(),
        extra_files: ExtraFiles::default(),
        cold_held: arc_backup_core::ColdHeld::default(),
        aside: None,
        earlier: Vec::new(),
        untouched: Arc::default(),
        scope: arc_backup_core::Scope::whole(),
    };
    let source = ParquetSource::new(Arc::new(Tagged(sink, tag)), "test", Exclusions::default());
    let restore = source.restore(staging).await.unwrap();
    restore
        .plan(stream::iter([Ok(entry)]).boxed())
        .await
        .unwrap()
}

/// Guards against a restore that skips a file which differs from the backup. An equal tag proves
/// equal bytes only if the storage says so, whether or not it can stage.
#[tokio::test]
async fn a_weak_tag_does_not_prove_that_a_file_is_the_same() {
    let differs = plan(EntityTag::Weak, b"then", b"live").await;
    assert_eq!((differs.needed_files, differs.unchanged_files), (1, 0));
    let same = plan(EntityTag::Weak, b"live", b"live").await;
    assert_eq!((same.needed_files, same.unchanged_files), (0, 1));
    // A strong tag does, and the file is not read.
    let strong = plan(EntityTag::Strong, b"then", b"live").await;
    assert_eq!((strong.needed_files, strong.unchanged_files), (0, 1));
}
