//! Copy throughput of the pipeline, with a plain copy of the same files beside every figure.
//!
//! `cargo bench --bench copy`. Compare figures of one run only: machines are noisy.

#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arc_backup::testing::{
    Column, Inspect, Plan, Reader, Values, Writer, inspect_data_file, inspect_nothing,
    write_parquet,
};
use arc_backup_core::{
    Body, Entry, Error, GetOptions, Key, MemorySink, Sink, Upload, WriteOptions,
};
use arc_backup_local::{LocalConfig, LocalSink};
use async_trait::async_trait;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{StreamExt, stream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

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
        self.0
            .begin(&entry.key, WriteOptions::default())
            .await
            .map(Some)
    }
}

/// Many small files, as Arc ingests them, and some large ones, as its compaction writes them.
const SHAPES: [(&str, u64, usize); 2] =
    [("small_64KiB", 512, 64 << 10), ("large_32MiB", 4, 32 << 20)];

fn entries(count: u64, size: usize) -> Vec<Entry> {
    (0..count)
        .map(|number| {
            let key = Key::parse(&format!("iot/cpu/{number:06}.parquet")).expect("a fixed form");
            Entry::new(key, size as u64)
        })
        .collect()
}

/// Bytes from a fixed seed, which no file system stores as holes.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

async fn fill(sink: &dyn Sink, entries: &[Entry], bytes: &[u8]) {
    for entry in entries {
        let mut upload = sink
            .begin(&entry.key, WriteOptions::default())
            .await
            .expect("room");
        upload.write(bytes.to_vec().into()).await.expect("room");
        upload.commit().await.expect("room");
    }
}

async fn copy(from: &Arc<dyn Sink>, to: &Arc<dyn Sink>, entries: &[Entry], inspect: Inspect) {
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
        let outcome = outcome.expect("a list in memory");
        assert!(outcome.fault.is_none(), "{:?}", outcome.fault);
        black_box(outcome.entry.sha256);
    }
}

fn plain_copy(from: &Path, to: &Path, entries: &[Entry]) {
    for entry in entries {
        let target = to.join(entry.key.as_str());
        std::fs::create_dir_all(target.parent().expect("has a folder")).expect("room");
        std::fs::copy(from.join(entry.key.as_str()), target).expect("room");
    }
}

fn throughput(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for (shape, count, size) in SHAPES {
        let (list, bytes) = (entries(count, size), noise(size));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (source, target) = (folder.path().join("from"), folder.path().join("to"));
        let local = |root: &Path| Arc::new(LocalSink::new(LocalConfig::new(root))) as Arc<dyn Sink>;
        let (disk, disk_to) = (local(&source), local(&target));
        let memory: Arc<dyn Sink> = Arc::new(MemorySink::new());
        let memory_to: Arc<dyn Sink> = Arc::new(MemorySink::new());
        runtime.block_on(fill(&*disk, &list, &bytes));
        runtime.block_on(fill(&*memory, &list, &bytes));
        let mut group = criterion.benchmark_group(shape);
        group
            .throughput(Throughput::Bytes(count * size as u64))
            .sample_size(10);
        group.bench_function(BenchmarkId::from_parameter("memory_to_memory"), |bench| {
            bench.iter(|| runtime.block_on(copy(&memory, &memory_to, &list, inspect_nothing)));
        });
        group.bench_function(BenchmarkId::from_parameter("local_to_local"), |bench| {
            bench.iter(|| runtime.block_on(copy(&disk, &disk_to, &list, inspect_nothing)));
        });
        // The control: no digest, no atomic names, one file at a time.
        group.bench_function(BenchmarkId::from_parameter("control_plain_copy"), |bench| {
            bench.iter(|| plain_copy(&source, &target, &list));
        });
        // The control for hashing alone: how fast one core computes SHA-256.
        group.bench_function(BenchmarkId::from_parameter("control_sha256"), |bench| {
            bench.iter(|| {
                for _ in 0..count {
                    black_box(arc_backup_core::Digest::of(&bytes));
                }
            });
        });
        group.finish();
    }
}

/// Parquet files of Arc's shape: as it ingests them, and as its compaction writes them.
const PARQUET: [(&str, u64, i64); 2] =
    [("parquet_small", 512, 1_000), ("parquet_large", 4, 400_000)];

fn parquet(rows: i64) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.parquet");
    let hosts = (0..rows).map(|row| format!("server-{}", row % 10));
    let mut columns = vec![
        Column::new("time", Values::Time((0..rows).collect())),
        Column::new("host", Values::Text(hosts.collect())),
    ];
    for number in 0..8 {
        let values = (0..rows).map(|row| (row * number) as f64);
        columns.push(Column::new(
            format!("field_{number}"),
            Values::Float(values.collect()),
        ));
    }
    write_parquet(&path, &columns, &["host"]).expect("room");
    std::fs::read(&path).expect("just written")
}

/// How often the Parquet files are copied with and without the check, in turn.
const PAIRS: usize = 60;

/// The processor time of this process so far, in ticks of the kernel: `utime` and `stime` of
/// `/proc/self/stat` (proc(5)).
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit_once(") ").expect("a name in parentheses").1;
    let ticks = fields.split(' ').skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<u64>().expect("a number"))
        .sum()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// What it costs to look at the Parquet files while they are copied.
fn parquet_check(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    for (shape, count, rows) in PARQUET {
        let bytes = parquet(rows);
        let list = entries(count, bytes.len());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let local = |name| {
            Arc::new(LocalSink::new(LocalConfig::new(folder.path().join(name)))) as Arc<dyn Sink>
        };
        let (disk, disk_to) = (local("from"), local("to"));
        runtime.block_on(fill(&*disk, &list, &bytes));
        let variants = [
            ("without_check", inspect_nothing as Inspect),
            ("with_check", inspect_data_file),
        ];
        // Alternating, with either one first: other load on the machine slows both.
        let (mut times, mut ticks) = ([const { Vec::new() }; 2], [0, 0]);
        for round in 0..=PAIRS {
            for place in 0..2 {
                let number = (place + round) % 2;
                let (begun, before) = (Instant::now(), processor_ticks());
                runtime.block_on(copy(&disk, &disk_to, &list, variants[number].1));
                // The first creates the files.
                if round > 0 {
                    times[number].push(begun.elapsed().as_secs_f64());
                    ticks[number] += processor_ticks() - before;
                }
            }
        }
        let more = |with: f64, without: f64| (with / without - 1.0) * 100.0;
        let [without, with] = times.map(median);
        println!(
            "{shape}: {PAIRS} pairs, with the check: time {:+.1} % (medians {:.1} and {:.1} ms), processor time {:+.1} %",
            more(with, without),
            without * 1e3,
            with * 1e3,
            more(ticks[1] as f64, ticks[0] as f64)
        );
        let mut group = criterion.benchmark_group(shape);
        group
            .throughput(Throughput::Bytes(count * bytes.len() as u64))
            .sample_size(30);
        for (name, inspect) in variants {
            group.bench_function(BenchmarkId::from_parameter(name), |bench| {
                bench.iter(|| runtime.block_on(copy(&disk, &disk_to, &list, inspect)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, throughput, parquet_check);
criterion_main!(benches);
