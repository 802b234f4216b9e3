//! What the sink costs beside a bare loop over the SDK, on the same server in the same run: the
//! same parts, as many at once. And many small objects at 20 ms latency, one at a time and 32 at
//! once.
//!
//! The server shares the machine, so that the figures say nothing of a network, and the ratio says
//! what the sink costs.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a measurement ends where something is not as it should be"
)]

use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{Body, GetOptions, Key, Sink, WriteOptions};
use arc_backup_s3::{S3Config, S3Settings, S3Sink};
use arc_backup_test_s3::{S3Server, ServerOptions};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Runtime;

const LARGE: usize = 128 << 20;
const PART: usize = 8 << 20;
const PARALLEL: usize = 5;

fn config(server: &S3Server) -> S3Config {
    S3Config::from_settings(S3Settings {
        bucket: "test".to_owned(),
        endpoint: server.endpoint(),
        access_key: server.options().access_key.clone(),
        secret_key: server.options().secret_key.clone(),
        path_style: true,
        ..S3Settings::default()
    })
    .unwrap()
}

fn bare(server: &S3Server) -> Client {
    let options = server.options();
    let keys = Credentials::new(
        &options.access_key,
        &options.secret_key,
        None,
        None,
        "bench",
    );
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(keys)
        .http_client(http)
        .endpoint_url(server.endpoint())
        .region(Region::new("us-east-1"))
        .force_path_style(true);
    Client::from_conf(config.build())
}

async fn upload_bare(client: &Client, bytes: &Bytes) {
    let (bucket, key) = ("test", "bare");
    let begun = client
        .create_multipart_upload()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .unwrap();
    let id = begun.upload_id().unwrap();
    let numbers = 1..=i32::try_from(bytes.len().div_ceil(PART)).unwrap();
    let parts: Vec<_> = stream::iter(numbers)
        .map(|number| {
            let start = (number as usize - 1) * PART;
            let piece = bytes.slice(start..bytes.len().min(start + PART));
            let request = client
                .upload_part()
                .bucket(bucket)
                .key(key)
                .upload_id(id)
                .part_number(number);
            let task = tokio::spawn(request.body(piece.into()).send());
            async move {
                let etag = task.await.unwrap().unwrap().e_tag;
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(etag)
                    .build()
            }
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let done = client
        .complete_multipart_upload()
        .bucket(bucket)
        .key(key)
        .upload_id(id);
    done.multipart_upload(parts).send().await.unwrap();
}

async fn upload_sink(sink: &S3Sink, at: &str, bytes: &Bytes) {
    let options = WriteOptions {
        size_hint: Some(bytes.len() as u64),
        ..WriteOptions::default()
    };
    let mut upload = sink.begin(&Key::parse(at).unwrap(), options).await.unwrap();
    for start in (0..bytes.len()).step_by(256 << 10) {
        let piece = bytes.slice(start..bytes.len().min(start + (256 << 10)));
        upload.write(piece).await.unwrap();
    }
    upload.commit().await.unwrap();
}

async fn download_bare(client: &Client, len: usize) -> usize {
    stream::iter((0..len).step_by(PART))
        .map(|start| {
            let range = format!("bytes={start}-{}", len.min(start + PART) - 1);
            let request = client.get_object().bucket("test").key("large").range(range);
            let task = tokio::spawn(async move {
                let answer = request.send().await.unwrap();
                answer.body.collect().await.unwrap().into_bytes().len()
            });
            async move { task.await.unwrap() }
        })
        .buffered(PARALLEL)
        .fold(0, |sum, len| async move { sum + len })
        .await
}

async fn download_sink(sink: &S3Sink) -> usize {
    let object = sink
        .get(&Key::parse("large").unwrap(), GetOptions::default())
        .await
        .unwrap();
    let Body::Stream(body) = object.body else {
        panic!("no stream");
    };
    body.try_fold(0, |sum, piece| async move { Ok(sum + piece.len()) })
        .await
        .unwrap()
}

fn large(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = S3Server::start(ServerOptions::default()).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let bytes: Bytes = std::iter::repeat_with(|| random.u8(..))
        .take(LARGE)
        .collect();
    server.put("test", "large", bytes.clone());
    let (sink, client) = (S3Sink::new(config(&server)).unwrap(), bare(&server));
    let mut group = criterion.benchmark_group("large");
    group
        .throughput(Throughput::Bytes(LARGE as u64))
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    group.bench_function("upload/bare", |b| {
        b.iter(|| runtime.block_on(upload_bare(&client, &bytes)));
    });
    group.bench_function("upload/sink", |b| {
        b.iter(|| runtime.block_on(upload_sink(&sink, "a", &bytes)));
    });
    group.bench_function("download/bare", |b| {
        b.iter(|| assert_eq!(runtime.block_on(download_bare(&client, LARGE)), LARGE));
    });
    group.bench_function("download/sink", |b| {
        b.iter(|| assert_eq!(runtime.block_on(download_sink(&sink)), LARGE));
    });
    group.finish();
}

fn small(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = S3Server::start(ServerOptions {
        latency: Duration::from_millis(20),
        ..ServerOptions::default()
    })
    .unwrap();
    let sink = Arc::new(S3Sink::new(config(&server)).unwrap());
    let bytes = Bytes::from(vec![7; 20_000]);
    let mut group = criterion.benchmark_group("small_at_20_ms");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for (at_once, count) in [(1, 50), (32, 1600)] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("upload/{at_once}_at_once"), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    stream::iter(0..count)
                        .for_each_concurrent(at_once, |n| {
                            let (sink, bytes) = (sink.clone(), bytes.clone());
                            async move { upload_sink(&sink, &format!("small/{n}"), &bytes).await }
                        })
                        .await;
                });
            });
        });
    }
    group.finish();
}

criterion_group!(benches, large, small);
criterion_main!(benches);
