//! Calls of a sink that must succeed, for the cases.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    Child, ErrorKind, GetOptions, Key, ListOptions, Listed, Meta, OperationId, Sink, Upload,
    WriteOptions,
};

pub(super) fn key(text: &str) -> Key {
    Key::parse(text).expect("the suite uses valid keys")
}

pub(super) fn id(text: &str) -> OperationId {
    OperationId::parse(text).expect("the suite uses valid ids")
}

/// The bytes of a test object: the same for the same seed, without a period that a part size could
/// hide.
pub(super) fn pattern(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

pub(super) async fn begin(sink: &dyn Sink, at: &str, options: WriteOptions) -> Box<dyn Upload> {
    let begun = sink.begin(&key(at), options).await;
    begun.unwrap_or_else(|error| panic!("begin of `{at}` fails: {error}"))
}

pub(super) async fn put_with(
    sink: &dyn Sink,
    at: &str,
    bytes: &[u8],
    options: WriteOptions,
) -> Meta {
    let mut upload = begin(sink, at, options).await;
    let written = upload.write(Bytes::copy_from_slice(bytes)).await;
    written.unwrap_or_else(|error| panic!("write to `{at}` fails: {error}"));
    let committed = upload.commit().await;
    committed.unwrap_or_else(|error| panic!("commit of `{at}` fails: {error}"))
}

pub(super) async fn put(sink: &dyn Sink, at: &str, bytes: &[u8]) -> Meta {
    put_with(sink, at, bytes, WriteOptions::default()).await
}

pub(super) async fn put_all(sink: &dyn Sink, keys: &[String]) {
    stream::iter(keys)
        .for_each_concurrent(32, |at| async move {
            put(sink, at, at.as_bytes()).await;
        })
        .await;
}

pub(super) async fn read_with(sink: &dyn Sink, at: &str, options: GetOptions) -> Vec<u8> {
    let object = sink.get(&key(at), options).await;
    let object = object.unwrap_or_else(|error| panic!("get of `{at}` fails: {error}"));
    let bytes = object.body.collect(1 << 30, at).await;
    bytes.unwrap_or_else(|error| panic!("reading `{at}` breaks off: {error}"))
}

pub(super) async fn read(sink: &dyn Sink, at: &str) -> Vec<u8> {
    read_with(sink, at, GetOptions::default()).await
}

pub(super) async fn head(sink: &dyn Sink, at: &str) -> Option<Meta> {
    let head = sink.head(&key(at)).await;
    head.unwrap_or_else(|error| panic!("head of `{at}` fails: {error}"))
}

pub(super) async fn list(sink: &dyn Sink, options: ListOptions) -> Vec<String> {
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

pub(super) async fn list_all(sink: &dyn Sink) -> Vec<String> {
    list(sink, ListOptions::default()).await
}

pub(super) async fn children(sink: &dyn Sink, folder: Option<&str>) -> Vec<Child> {
    let folder = folder.map(key);
    let children = sink.list_children(folder.as_ref()).await;
    children.unwrap_or_else(|error| panic!("list_children fails: {error}"))
}

pub(super) async fn expect_absent(sink: &dyn Sink, at: &str, when: &str) {
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
