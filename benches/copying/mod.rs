//! Copies by the pipeline alone, which the benchmarks measure.

use std::hint::black_box;
use std::sync::Arc;

use arc_backup::testing::{Inspect, Plan, Reader, Writer};
use arc_backup_core::{Body, Entry, Error, GetOptions, Key, Sink, Upload, WriteOptions};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

/// Entries of so many files, of so many bytes each.
pub fn entries(count: usize, size: usize) -> Vec<Entry> {
    (0..count)
        .map(|number| {
            let key = Key::parse(&format!("iot/cpu/{number:06}.parquet")).expect("a fixed form");
            Entry::new(key, size as u64)
        })
        .collect()
}

/// Writes the entries to a storage, all with these bytes.
pub async fn fill(sink: &dyn Sink, entries: &[Entry], bytes: &[u8]) {
    for entry in entries {
        let begun = sink.begin(&entry.key, WriteOptions::default()).await;
        let mut upload = begun.expect("no fault");
        upload.write(bytes.to_vec().into()).await.expect("no fault");
        upload.commit().await.expect("no fault");
    }
}

/// One end of a copy.
struct End(Arc<dyn Sink>);

#[async_trait]
impl Reader for End {
    async fn open(&self, entry: &Entry) -> Result<Body, Error> {
        Ok(self.0.get(&entry.key, GetOptions::default()).await?.body)
    }
}

#[async_trait]
impl Writer for End {
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, Error> {
        let begun = self.0.begin(&entry.key, WriteOptions::default()).await;
        begun.map(Some)
    }
}

/// Copies the entries by the pipeline, eight at a time.
pub async fn copy(from: &Arc<dyn Sink>, to: &Arc<dyn Sink>, entries: &[Entry], inspect: Inspect) {
    let plan = Plan {
        progress: Arc::default(),
        cancel: CancellationToken::new(),
        concurrency: 8,
        inspect,
    };
    let (reader, writer) = (End(from.clone()), End(to.clone()));
    let list = stream::iter(entries.iter().cloned().map(Ok)).boxed();
    let mut outcomes = plan.run(list, &reader, &writer);
    while let Some(outcome) = outcomes.next().await {
        let outcome = outcome.expect("no fault");
        assert!(outcome.fault.is_none(), "{:?}", outcome.fault);
        black_box(outcome.entry.sha256);
    }
}
