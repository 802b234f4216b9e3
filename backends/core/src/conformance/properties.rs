//! What a sink says of itself, and how durable its commits are.

use std::time::{Duration, SystemTime};

use super::calls::{head, put, put_with, read};
use crate::{EntityTag, Sink, WriteOptions};

pub(super) async fn keeps_attributes(sink: &dyn Sink) {
    if !sink.properties().keeps_attributes {
        return;
    }
    let modified = SystemTime::UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
    let options = WriteOptions {
        modified: Some(modified),
        mode: Some(0o640),
        ..WriteOptions::default()
    };
    let meta = put_with(sink, "a", b"x", options).await;
    assert_eq!(
        meta.modified,
        Some(modified),
        "the modification time is not kept"
    );
    assert_eq!(meta.mode, Some(0o640), "the mode is not kept");
    assert_eq!(
        head(sink, "a").await,
        Some(meta),
        "head has other attributes than commit"
    );
    let meta = put(sink, "b", b"x").await;
    let private = matches!(meta.mode, None | Some(0o600));
    assert!(
        private,
        "an object without a mode is not private: {:?}",
        meta.mode
    );
}

pub(super) async fn gives_each_write_a_tag(sink: &dyn Sink) {
    if sink.properties().entity_tag != EntityTag::Strong {
        return;
    }
    let mut tags = Vec::new();
    for bytes in [b"one", b"two", b"one"] {
        put(sink, "a", bytes).await;
        let meta = head(sink, "a").await.expect("it was written");
        tags.push(meta.etag.expect("a strong entity tag is one that is there"));
    }
    assert_ne!(
        tags[0], tags[1],
        "other bytes have the same strong entity tag"
    );
    assert_ne!(
        tags[1], tags[2],
        "other bytes have the same strong entity tag"
    );
}

pub(super) async fn is_durable(sink: &dyn Sink) {
    let durability = sink
        .durability()
        .await
        .expect("durability can be opened on an empty sink");
    let durable = WriteOptions {
        durable: true,
        ..WriteOptions::default()
    };
    put_with(sink, "a/b", b"x", durable).await;
    put(sink, "a/c", b"x").await;
    durability
        .sync()
        .await
        .expect("what was committed can be made durable");
    durability.sync().await.expect("it can be synced again");
    assert_eq!(
        read(sink, "a/b").await,
        b"x",
        "a durable commit has other bytes"
    );
}
