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

use arc_backup::testing::inspect_nothing;
use arc_backup_core::{Entry, MemorySink, Sink};
use arc_backup_local::{LocalConfig, LocalSink};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

use copying::{copy, entries, fill};

mod copying;

/// Many small files, as Arc ingests them, and some large ones, as its compaction writes them.
const SHAPES: [(&str, usize, usize); 2] =
    [("small_64KiB", 512, 64 << 10), ("large_32MiB", 4, 32 << 20)];

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
            .throughput(Throughput::Bytes((count * size) as u64))
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

criterion_group!(benches, throughput);
criterion_main!(benches);
