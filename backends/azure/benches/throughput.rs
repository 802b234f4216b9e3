//! Uploads and downloads by the sink, beside a bare loop over the SDK with the same sizes and
//! concurrency on the same server in the same run. The loop checks nothing and retries nothing: it
//! is what the sink's care is measured by.
//!
//! Downloads are of both kinds that there are: as the files of a backup are read from a target,
//! whose SHA-256 the reader checks, and as Arc's own data is read, with the MD5 of each range. The
//! server's work differs with that, and so there is a loop beside each: one that asks for the MD5s
//! (and does not look at them), and one that does not. Uploads always carry the MD5 of each block:
//! beside them is a loop that sends those too, and one that sends none, which keeps what is damaged
//! on the way. Server and client share the machine's cores, so that what an MD5 costs shows in
//! full.
//!
//! What other programs take of the machine changes by the second. Before criterion's figures of
//! each by itself there is therefore one comparison in turns, of which the medians of ratios are
//! the figure to quote.
//!
//! `cargo bench -p arc-backup-azure`; needs Node.

use std::future::Future;
use std::hint::black_box;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Instant;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{GetOptions, Key, Sink, WriteOptions};
use arc_backup_test_azurite::{Azurite, Lasts};
use azure_core::http::{RequestContent, Url};
use azure_storage_blob::models::{
    BlobClientDownloadOptions, BlockBlobClientStageBlockOptions, BlockBlobClientUploadOptions,
    BlockLookupList,
};
use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};
use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures::StreamExt as _;
use md5::{Digest as _, Md5};

const SIZE: usize = 64 << 20;
const PART: usize = 8 << 20;
const RANGE: usize = 4 << 20;
const UPLOADS: usize = 5;
const DOWNLOADS: usize = 8;
/// How often each takes its turn in the comparison: each order as often as the others.
const ROUNDS: usize = 28;

fn pattern() -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(SIZE).collect()
}

/// The SDK's client with the SDK's own transport would bring another TLS library: it gets reqwest
/// as it is.
fn bare(azurite: &Azurite, container: &str) -> BlobContainerClient {
    let sas = azurite.account_sas("rwdlac", Lasts::For(std::time::Duration::from_secs(3600)));
    let url = format!("{}/{container}?{sas}", azurite.endpoint());
    let mut options = BlobContainerClientOptions::default();
    options.client_options.transport = Some(azure_core::http::Transport::new(Arc::new(Plain(
        reqwest::Client::builder()
            .http1_only()
            .build()
            .expect("a client"),
    ))));
    BlobContainerClient::new(Url::parse(&url).expect("a URL"), None, Some(options))
        .expect("a client")
}

#[derive(Debug)]
struct Plain(reqwest::Client);

#[async_trait::async_trait]
impl azure_core::http::HttpClient for Plain {
    async fn execute_request(
        &self,
        request: &azure_core::http::Request,
    ) -> azure_core::Result<azure_core::http::AsyncRawResponse> {
        use azure_core::http::{Body, headers::Headers};
        let other = |error: reqwest::Error| {
            azure_core::Error::with_error(azure_core::error::ErrorKind::Io, error, "sending")
        };
        let method = reqwest::Method::from_bytes(request.method().as_ref().as_bytes());
        let mut builder = self
            .0
            .request(method.expect("a method"), request.url().clone());
        for (name, value) in request.headers().iter() {
            builder = builder.header(name.as_str(), value.as_str());
        }
        builder = match request.body() {
            Body::Bytes(bytes) => builder.body(bytes.clone()),
            Body::SeekableStream(_) => unreachable!("the benchmark sends bytes"),
        };
        let response = builder.send().await.map_err(other)?;
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            headers.insert(
                name.as_str().to_owned(),
                value.to_str().unwrap_or_default().to_owned(),
            );
        }
        let status = response.status().as_u16().into();
        let body = futures::stream::unfold(response, move |mut response| async move {
            Some((response.chunk().await.transpose()?.map_err(other), response))
        });
        Ok(azure_core::http::AsyncRawResponse::new(
            status,
            headers,
            Box::pin(body),
        ))
    }
}

async fn sink_upload(sink: &AzureSink, key: &Key, bytes: Bytes) {
    let options = WriteOptions {
        size_hint: Some(SIZE as u64),
        ..WriteOptions::default()
    };
    let mut upload = sink.begin(key, options).await.expect("begun");
    for start in (0..SIZE).step_by(1 << 20) {
        upload
            .write(bytes.slice(start..start + (1 << 20)))
            .await
            .expect("written");
    }
    upload.commit().await.expect("committed");
}

async fn sink_download(sink: &AzureSink, key: &Key, reader_checks: bool) -> usize {
    let options = GetOptions {
        reader_checks,
        ..GetOptions::default()
    };
    let object = sink.get(key, options).await.expect("opened");
    let arc_backup_core::Body::Stream(mut body) = object.body else {
        unreachable!("a store gives a stream");
    };
    let mut len = 0;
    while let Some(piece) = body.next().await {
        len += piece.expect("read").len();
    }
    len
}

async fn bare_upload(client: &BlobContainerClient, bytes: Bytes) {
    let options = BlockBlobClientUploadOptions {
        partition_size: NonZero::new(PART as u64),
        parallel: NonZero::new(UPLOADS),
        ..BlockBlobClientUploadOptions::default()
    };
    let content: RequestContent<Bytes, azure_core::http::NoFormat> = bytes.into();
    client
        .blob_client("bare")
        .upload(content, Some(options))
        .await
        .expect("uploaded");
}

/// The loop that one would write who wants the store to refuse a damaged block.
async fn bare_upload_with_md5(client: &BlobContainerClient, bytes: Bytes) {
    let blob = Arc::new(client.blob_client("bare").block_blob_client());
    let ids: Vec<Vec<u8>> = (0..SIZE / PART)
        .map(|number| format!("{number:08}").into_bytes())
        .collect();
    futures::stream::iter(ids.iter().cloned().enumerate())
        .map(|(number, id)| {
            let (blob, block) = (
                blob.clone(),
                bytes.slice(number * PART..(number + 1) * PART),
            );
            tokio::spawn(async move {
                let options = BlockBlobClientStageBlockOptions {
                    transactional_content_md5: Some(Md5::digest(&block).to_vec()),
                    ..BlockBlobClientStageBlockOptions::default()
                };
                blob.stage_block(&id, PART as u64, block.into(), Some(options))
                    .await
                    .expect("staged");
            })
        })
        .buffered(UPLOADS)
        .for_each(async |staged| staged.expect("not cancelled"))
        .await;
    let list = BlockLookupList {
        latest: Some(ids),
        ..BlockLookupList::default()
    };
    let list = RequestContent::try_from(list).expect("a list");
    blob.commit_block_list(list, None).await.expect("committed");
}

async fn bare_download(client: &BlobContainerClient, with_md5: bool) -> usize {
    let options = BlobClientDownloadOptions {
        partition_size: NonZero::new(RANGE),
        parallel: NonZero::new(DOWNLOADS),
        range: Some((0..SIZE as u64).into()),
        range_get_content_md5: with_md5.then_some(true),
        ..BlobClientDownloadOptions::default()
    };
    let answer = client
        .blob_client("bare")
        .download(Some(options))
        .await
        .expect("opened");
    let mut body = answer.body;
    let mut len = 0;
    while let Some(piece) = body.next().await {
        len += piece.expect("read").len();
    }
    len
}

fn throughput(criterion: &mut Criterion) {
    // The plain client asks for one, although it speaks no TLS here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let azurite = Azurite::start();
    let container = runtime.block_on(azurite.container());
    let sink = AzureSink::new(AzureConfig {
        connection_string: Some(azurite.connection_string()),
        container: container.clone(),
        part_bytes: PART as u64,
        part_parallel: UPLOADS as u64,
        range_bytes: RANGE as u64,
        range_parallel: DOWNLOADS,
        ..AzureConfig::default()
    })
    .expect("a sink");
    let client = bare(&azurite, &container);
    let key = Key::parse("sink").expect("a key");
    let bytes = pattern();
    runtime.block_on(async {
        sink_upload(&sink, &key, bytes.clone()).await;
        bare_upload_with_md5(&client, bytes.clone()).await;
        bare_upload(&client, bytes.clone()).await;
        assert_eq!(
            (
                sink_download(&sink, &key, false).await,
                bare_download(&client, true).await
            ),
            (SIZE, SIZE)
        );
    });
    runtime.block_on(in_turns(&sink, &client, &key, &bytes));
    let mut group = criterion.benchmark_group("upload");
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("sink", |bench| {
        let upload = || sink_upload(&sink, &key, bytes.clone());
        bench.to_async(&runtime).iter(upload);
    });
    group.bench_function("bare SDK", |bench| {
        let upload = || bare_upload(&client, bytes.clone());
        bench.to_async(&runtime).iter(upload);
    });
    group.bench_function("bare SDK with MD5s", |bench| {
        let upload = || bare_upload_with_md5(&client, bytes.clone());
        bench.to_async(&runtime).iter(upload);
    });
    group.finish();
    for (name, with_md5) in [
        ("download from a target", false),
        ("download of Arc's data", true),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(SIZE as u64));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.bench_function("sink", |bench| {
            let download = || sink_download(&sink, &key, !with_md5);
            bench.to_async(&runtime).iter(download);
        });
        group.bench_function("bare SDK", |bench| {
            let download = || bare_download(&client, with_md5);
            bench.to_async(&runtime).iter(download);
        });
        group.finish();
    }
}

/// Seconds that it takes.
async fn timed<T>(work: impl Future<Output = T>) -> f64 {
    let begun = Instant::now();
    black_box(work.await);
    begun.elapsed().as_secs_f64()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// All of them in turns, so that what else the machine does meets each of them alike. Which comes
/// first changes too, of the comparisons and within each: the server goes on working off an upload
/// while the next one is timed.
async fn in_turns(sink: &AzureSink, client: &BlobContainerClient, key: &Key, bytes: &Bytes) {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut seconds = [0.0; 7];
        let mut order: [usize; 7] = std::array::from_fn(|turn| (turn + round) % 7);
        if round >= ROUNDS / 2 {
            order.reverse();
        }
        for which in order {
            seconds[which] = match which {
                0 => timed(sink_upload(sink, key, bytes.clone())).await,
                1 => timed(bare_upload(client, bytes.clone())).await,
                2 => timed(bare_upload_with_md5(client, bytes.clone())).await,
                3 => timed(sink_download(sink, key, true)).await,
                4 => timed(bare_download(client, false)).await,
                5 => timed(sink_download(sink, key, false)).await,
                _ => timed(bare_download(client, true)).await,
            };
        }
        rounds.push(seconds);
    }
    println!("In {ROUNDS} turns, 64 MiB each, medians:");
    for (name, ours, bare) in [
        ("upload, beside a loop that sends no MD5s", 0, 1),
        ("upload, beside a loop that sends MD5s too", 0, 2),
        ("download from a target, no MD5s", 3, 4),
        ("download of Arc's data, MD5s checked", 5, 6),
    ] {
        let rate = |which: usize| {
            let seconds = median(rounds.iter().map(|round| round[which]));
            (SIZE >> 20) as f64 / seconds
        };
        println!(
            "  {name}: sink {:.0} MiB/s, bare SDK {:.0} MiB/s, {:.2} times the bare SDK",
            rate(ours),
            rate(bare),
            median(rounds.iter().map(|round| round[bare] / round[ours]))
        );
    }
}

criterion_group!(benches, throughput);
criterion_main!(benches);
