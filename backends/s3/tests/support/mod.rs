//! What the tests share: a server, and sinks on it.

#![allow(dead_code, reason = "each test binary uses its own part of it")]
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

use std::time::Duration;

use arc_backup_core::remote::RetryPolicy;
use arc_backup_core::{Error, GetOptions, Key, Meta, OperationId, Result, Sink, WriteOptions};
use arc_backup_s3::{S3Config, S3Settings, S3Sink};
use arc_backup_test_s3::{S3Server, ServerOptions};
use bytes::Bytes;

pub const BUCKET: &str = "test";

pub fn server() -> S3Server {
    server_with(|_| {})
}

pub fn server_with(change: impl FnOnce(&mut ServerOptions)) -> S3Server {
    let mut options = ServerOptions {
        // So that small objects are enough to test large ones.
        smallest_part_bytes: 0,
        ..ServerOptions::default()
    };
    change(&mut options);
    S3Server::start(options).unwrap()
}

/// Arc's settings for this server.
pub fn settings(server: &S3Server, prefix: &str) -> S3Settings {
    S3Settings {
        bucket: BUCKET.to_owned(),
        endpoint: server.address().to_string(),
        access_key: server.options().access_key.clone(),
        secret_key: server.options().secret_key.clone(),
        use_ssl: false,
        path_style: true,
        prefix: prefix.to_owned(),
        ..S3Settings::default()
    }
}

/// Small parts, and waits that do not hold a test up.
pub fn config(server: &S3Server, prefix: &str) -> S3Config {
    let mut config = S3Config::from_settings(settings(server, prefix)).unwrap();
    config.part_bytes = 100_000;
    config.range_bytes = 100_000;
    config.copy_part_bytes = 300_000;
    config.retry = RetryPolicy {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(20),
        ..RetryPolicy::default()
    };
    config
}

pub fn sink(server: &S3Server, prefix: &str) -> S3Sink {
    S3Sink::new(config(server, prefix)).unwrap()
}

pub fn id(text: &str) -> OperationId {
    OperationId::parse(text).unwrap()
}

pub fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

/// Bytes without a period that a part size could hide.
pub fn pattern(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

pub async fn put_with(
    sink: &dyn Sink,
    at: &str,
    bytes: &Bytes,
    options: WriteOptions,
) -> Result<Meta> {
    let mut upload = sink.begin(&key(at), options).await?;
    for start in (0..bytes.len()).step_by(70_001) {
        let piece = bytes.slice(start..bytes.len().min(start + 70_001));
        if let Err(error) = upload.write(piece).await {
            let _ = upload.abort().await;
            return Err(error);
        }
    }
    upload.commit().await
}

pub async fn put(sink: &dyn Sink, at: &str, bytes: &Bytes) -> Result<Meta> {
    put_with(sink, at, bytes, WriteOptions::default()).await
}

pub async fn read_with(sink: &dyn Sink, at: &str, options: GetOptions) -> Result<Vec<u8>> {
    sink.get(&key(at), options)
        .await?
        .body
        .collect(1 << 30, at)
        .await
}

pub async fn read(sink: &dyn Sink, at: &str) -> Result<Vec<u8>> {
    read_with(sink, at, GetOptions::default()).await
}

/// An error and all its causes, in every form that could reach a log.
pub fn everything(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(" {cause} {cause:?}"));
        next = cause.source();
    }
    text
}
