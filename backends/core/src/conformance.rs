//! The suite that every [`Sink`] has to pass: each guarantee of the trait as a case that can fail.
//!
//! It works from outside, through the trait alone, so that one suite serves every backend, this
//! project's and a third party's. The optional objects that a sink gives are tested, and what it
//! promises in its [`SinkProperties`](crate::SinkProperties); the others are not asked for.

mod aside;
mod copies;
mod listing;
mod locks;
mod properties;
mod reading;
mod removing;
mod snapshots;
mod staging;
mod writing;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    Child, ErrorKind, GetOptions, Key, ListOptions, Listed, Meta, OperationId, Sink, Upload,
    WriteOptions,
};

/// Tests the sinks that `make` gives: a fresh one for each case, with nothing in it, that nobody
/// else uses.
///
/// Returns when the sink keeps every guarantee.
///
/// ```
/// use std::sync::Arc;
/// use arc_backup_core::{MemorySink, Sink, conformance};
///
/// # #[tokio::main]
/// # async fn main() {
/// conformance::check(|| async { Arc::new(MemorySink::new()) as Arc<dyn Sink> }).await;
/// # }
/// ```
///
/// # Panics
/// With a message that names the guarantee, at the first that is broken.
pub async fn check<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Sink>>,
{
    writing::is_empty_at_first(&*make().await).await;
    writing::shows_an_object_when_committed(&*make().await).await;
    writing::replaces_at_once(&*make().await).await;
    writing::leaves_nothing_of_what_is_given_up(&*make().await).await;
    writing::creates_only_what_is_new(&*make().await).await;
    writing::keeps_every_byte(&*make().await).await;
    writing::takes_bytes_through_the_local_file(&*make().await).await;
    reading::reads_ranges(&*make().await).await;
    reading::notices_a_changed_object(&*make().await).await;
    listing::carries_odd_keys(&*make().await).await;
    listing::lists_in_byte_order(&*make().await).await;
    listing::limits_a_listing(&*make().await).await;
    listing::lists_many(&*make().await).await;
    listing::lists_one_level(&*make().await).await;
    removing::deletes(&*make().await).await;
    removing::removes_a_tree(&*make().await).await;
    writing::takes_concurrent_writers(&*make().await).await;
    properties::keeps_attributes(&*make().await).await;
    properties::gives_each_write_a_tag(&*make().await).await;
    staging::stages(&*make().await).await;
    aside::sets_aside(&*make().await).await;
    copies::copies_within_the_store(&*make().await).await;
    copies::duplicates(&*make().await).await;
    copies::moves_a_tree(&*make().await).await;
    snapshots::holds_a_snapshot(&*make().await).await;
    locks::locks(&*make().await).await;
    properties::is_durable(&*make().await).await;
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("the suite uses valid keys")
}

fn id(text: &str) -> OperationId {
    OperationId::parse(text).expect("the suite uses valid ids")
}

/// The bytes of a test object: the same for the same seed, without a period that a part size could
/// hide.
fn pattern(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

async fn begin(sink: &dyn Sink, at: &str, options: WriteOptions) -> Box<dyn Upload> {
    let begun = sink.begin(&key(at), options).await;
    begun.unwrap_or_else(|error| panic!("begin of `{at}` fails: {error}"))
}

async fn put_with(sink: &dyn Sink, at: &str, bytes: &[u8], options: WriteOptions) -> Meta {
    let mut upload = begin(sink, at, options).await;
    let written = upload.write(Bytes::copy_from_slice(bytes)).await;
    written.unwrap_or_else(|error| panic!("write to `{at}` fails: {error}"));
    let committed = upload.commit().await;
    committed.unwrap_or_else(|error| panic!("commit of `{at}` fails: {error}"))
}

async fn put(sink: &dyn Sink, at: &str, bytes: &[u8]) -> Meta {
    put_with(sink, at, bytes, WriteOptions::default()).await
}

async fn put_all(sink: &dyn Sink, keys: &[String]) {
    stream::iter(keys)
        .for_each_concurrent(32, |at| async move {
            put(sink, at, at.as_bytes()).await;
        })
        .await;
}

async fn read_with(sink: &dyn Sink, at: &str, options: GetOptions) -> Vec<u8> {
    let object = sink.get(&key(at), options).await;
    let object = object.unwrap_or_else(|error| panic!("get of `{at}` fails: {error}"));
    let bytes = object.body.collect(1 << 30, at).await;
    bytes.unwrap_or_else(|error| panic!("reading `{at}` breaks off: {error}"))
}

async fn read(sink: &dyn Sink, at: &str) -> Vec<u8> {
    read_with(sink, at, GetOptions::default()).await
}

async fn head(sink: &dyn Sink, at: &str) -> Option<Meta> {
    let head = sink.head(&key(at)).await;
    head.unwrap_or_else(|error| panic!("head of `{at}` fails: {error}"))
}

async fn list(sink: &dyn Sink, options: ListOptions) -> Vec<String> {
    let rows: Vec<_> = (sink.list(options).try_collect().await)
        .unwrap_or_else(|error| panic!("list fails: {error}"));
    rows.into_iter()
        .map(|row| match row {
            Listed::Object(meta) => meta.key.to_string(),
            Listed::Other { path, kind } => {
                panic!(
                    "list has `{path}`, {}, which nobody put there",
                    kind.as_str()
                )
            }
        })
        .collect()
}

async fn list_all(sink: &dyn Sink) -> Vec<String> {
    list(sink, ListOptions::default()).await
}

async fn children(sink: &dyn Sink, folder: Option<&str>) -> Vec<Child> {
    let folder = folder.map(key);
    let children = sink.list_children(folder.as_ref()).await;
    children.unwrap_or_else(|error| panic!("list_children fails: {error}"))
}

async fn expect_absent(sink: &dyn Sink, at: &str, when: &str) {
    assert_eq!(head(sink, at).await, None, "{when}, head knows of `{at}`");
    match sink.get(&key(at), GetOptions::default()).await {
        Ok(_) => panic!("{when}, get opens `{at}`"),
        Err(error) => assert_eq!(
            error.kind(),
            ErrorKind::NotFound,
            "{when}, get of `{at}` says: {error}"
        ),
    }
    assert_eq!(list_all(sink).await, [""; 0], "{when}, list has something");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySink;

    #[tokio::test]
    async fn the_sink_in_memory_conforms() {
        check(|| async { Arc::new(MemorySink::new()) as Arc<dyn Sink> }).await;
    }
}
