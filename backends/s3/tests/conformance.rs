//! The suite that every sink has to pass, against a server in process.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_backup_core::{Sink, conformance};
use arc_backup_s3::{S3Checksums, S3Config, S3Sink};
use support::{config, server, server_with};

/// Lost if it fails: whatever the pipeline relies on, where a sink is a prefix in a bucket.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_conforms() {
    let server = server();
    let number = AtomicU32::new(0);
    conformance::check(|| async {
        let prefix = format!("pre.fix/{}", number.fetch_add(1, Ordering::Relaxed));
        Arc::new(S3Sink::new(config(&server, &prefix)).unwrap()) as Arc<dyn Sink>
    })
    .await;
    assert_eq!(server.uploads("test"), [], "an upload is left");
}

/// Lost if it fails: the same, where a sink is a whole bucket, with parts as large as they are in
/// use.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_bucket_conforms() {
    let number = AtomicU32::new(0);
    let buckets: Vec<_> = (0..100).map(|n| format!("bucket-{n}")).collect();
    let server = server_with(|options| {
        options.buckets = buckets;
        options.smallest_part_bytes = 5 << 20;
    });
    conformance::check(|| async {
        let mut config = config(&server, "");
        let default = S3Config::new("default");
        config.bucket = format!("bucket-{}", number.fetch_add(1, Ordering::Relaxed));
        config.part_bytes = default.part_bytes;
        config.range_bytes = default.range_bytes;
        Arc::new(S3Sink::new(config).unwrap()) as Arc<dyn Sink>
    })
    .await;
}

/// Lost if it fails: stores that refuse the checksums of today.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_store_conforms() {
    let server = server_with(|options| options.refuse_checksums = true);
    let number = AtomicU32::new(0);
    conformance::check(|| async {
        let prefix = number.fetch_add(1, Ordering::Relaxed).to_string();
        let mut config = config(&server, &prefix);
        config.checksums = S3Checksums::WhenRequired;
        Arc::new(S3Sink::new(config).unwrap()) as Arc<dyn Sink>
    })
    .await;
}
