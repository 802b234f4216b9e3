//! What it costs that a backup looks at each Parquet file as its bytes pass by: a copy, and a whole
//! backup, with that check and without, in turn. All files have one schema of ten columns, as those
//! of a measurement have, which a backup copies one after the other.
//!
//! `cargo bench --bench parquet`. Compare figures of one run only: machines are noisy.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use arc_backup::testing::{
    Column, Inspect, Values, inspect_data_file, inspect_nothing, write_parquet,
};
use arc_backup_core::Sink;
use arc_backup_local::{LocalConfig, LocalSink};
use tokio::runtime::Runtime;

use copying::{copy, entries, fill};

mod copying;

/// Files of Arc's shape: as it ingests them, and as its compaction writes them.
struct Shape {
    name: &'static str,
    rows: i64,
    /// How many files one copy has.
    copied: usize,
    /// How many files one backup has.
    backed_up: usize,
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "small files",
        rows: 1_000,
        copied: 512,
        backed_up: 4_000,
    },
    Shape {
        name: "large files",
        rows: 400_000,
        copied: 4,
        backed_up: 8,
    },
];

/// How often a copy is made with and without the check.
const COPIES: usize = 60;
/// How often a backup is.
const BACKUPS: usize = 20;
/// How the two variants of a file are named: a backup checks what ends with `.parquet`. Both are
/// as long, so that the lists are too.
const ENDINGS: [&str; 2] = ["parquex", "parquet"];

fn main() {
    for shape in &SHAPES {
        let bytes = parquet(shape.rows);
        println!("{}, {} bytes each:", shape.name, bytes.len());
        copies(shape, &bytes);
        backups(shape, &bytes);
    }
}

fn parquet(rows: i64) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
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
    write_parquet(&path, &columns, &["host"]).unwrap();
    std::fs::read(&path).unwrap()
}

/// Copies the files by the pipeline alone.
fn copies(shape: &Shape, bytes: &[u8]) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let local = |name| {
        Arc::new(LocalSink::new(LocalConfig::new(folder.path().join(name)))) as Arc<dyn Sink>
    };
    let (from, to) = (local("from"), local("to"));
    let list = entries(shape.copied, bytes.len());
    runtime.block_on(fill(&*from, &list, bytes));
    let variants = [inspect_nothing as Inspect, inspect_data_file];
    let pairs = Pairs::run(
        COPIES,
        ProcessorTime::OfThis,
        |_| (),
        |variant| runtime.block_on(copy(&from, &to, &list, variants[variant])),
    );
    println!("  copy of {} files, {pairs}", shape.copied);
}

/// Makes whole backups by the program: of these files as Parquet files, and under another name.
/// They are the same files each time: two folders of equal files differ by more than the check.
fn backups(shape: &Shape, bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    make_instance(folder.path(), shape.backed_up, bytes);
    let prepare = |variant: usize| {
        let backups = folder.path().join("data/backups");
        if backups.exists() {
            std::fs::remove_dir_all(backups).unwrap();
        }
        for number in 0..shape.backed_up {
            let name = |variant| folder.path().join(data_file(number, variant));
            if !name(variant).exists() {
                std::fs::rename(name(1 - variant), name(variant)).unwrap();
            }
        }
    };
    let back_up = |_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_arc-backup"));
        command.arg("-C").arg(folder.path());
        command.arg("backup").stdout(Stdio::null());
        let ended = command.stderr(Stdio::null()).status().unwrap();
        assert!(ended.success(), "{command:?} failed");
    };
    let pairs = Pairs::run(BACKUPS, ProcessorTime::OfChildren, prepare, back_up);
    println!("  backup of {} files, {pairs}", shape.backed_up);
}

/// Where a file is in an instance, with the name of a variant.
fn data_file(number: usize, variant: usize) -> String {
    let (hour, ending) = (number / 200, ENDINGS[variant]);
    format!("data/arc/iot/cpu/2026/11/20/{hour:02}/cpu_{number:06}.{ending}")
}

fn make_instance(folder: &Path, files: usize, bytes: &[u8]) {
    let config = "[storage]\nbackend = \"local\"\nlocal_path = \"./data/arc\"\n\n\
                  [auth]\nenabled = false\ndb_path = \"./data/arc.db\"\n";
    for number in 0..files {
        let path = folder.join(data_file(number, 0));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(folder.join("arc.toml"), config).unwrap();
    rusqlite::Connection::open(folder.join("data/arc.db"))
        .unwrap()
        .execute_batch("CREATE TABLE api_tokens (id INTEGER PRIMARY KEY)")
        .unwrap();
}

/// Whose processor time counts.
#[derive(Clone, Copy)]
enum ProcessorTime {
    OfThis,
    OfChildren,
}

impl ProcessorTime {
    /// So much so far, in ticks of the kernel: `utime` and `stime`, or `cutime` and `cstime`, of
    /// `/proc/self/stat` (proc(5)).
    fn ticks(self) -> u64 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1;
        let first = match self {
            Self::OfThis => 11,
            Self::OfChildren => 13,
        };
        let ticks = fields.split(' ').skip(first).take(2);
        ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }
}

/// What many runs without the check, and as many with it, took.
struct Pairs {
    count: usize,
    /// Without the check, and with it.
    seconds: [f64; 2],
    ticks: [u64; 2],
}

impl Pairs {
    /// Runs both in turn, either one first as often as the other: so other load on the machine
    /// slows both. What `prepare` does before each run does not count.
    fn run(
        count: usize,
        processor: ProcessorTime,
        mut prepare: impl FnMut(usize),
        mut run: impl FnMut(usize),
    ) -> Self {
        let (mut seconds, mut ticks) = ([const { Vec::new() }; 2], [0, 0]);
        for round in 0..=count {
            for place in 0..2 {
                let variant = (place + round) % 2;
                prepare(variant);
                let (begun, before) = (Instant::now(), processor.ticks());
                run(variant);
                // The first creates files and folders.
                if round > 0 {
                    seconds[variant].push(begun.elapsed().as_secs_f64());
                    ticks[variant] += processor.ticks() - before;
                }
            }
        }
        Self {
            count,
            seconds: seconds.map(median),
            ticks,
        }
    }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

impl std::fmt::Display for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = |[without, with]: [f64; 2]| (with / without - 1.0) * 100.0;
        let [without, with] = self.seconds;
        let [ticks_without, ticks_with] = self.ticks.map(|ticks| ticks as f64);
        write!(
            f,
            "{} pairs: with the check time {:+.1} % (medians {:.1} and {:.1} ms), processor time {:+.1} % ({ticks_without} and {ticks_with} ticks)",
            self.count,
            more(self.seconds),
            without * 1e3,
            with * 1e3,
            more([ticks_without, ticks_with]),
        )
    }
}
