//! An incremental backup of unchanged files on local disk, beside `restic backup` of the same tree.
//!
//! `cargo bench --bench incremental`, or with `ARC_BENCH_FILES=1000000`. Compare figures of one run
//! only: machines are noisy. restic and strace are used where they are installed.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use arc_backup::testing::{Column, Values, write_parquet};

/// How often each figure is taken.
const ROUNDS: usize = 3;
/// Modified later than this before a backup, a file is read again by the next one.
const MARGIN: Duration = Duration::from_millis(2_500);

fn main() {
    let files: usize =
        std::env::var("ARC_BENCH_FILES").map_or(100_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    make_tree(folder.path(), files);
    println!("{files} files made in {:.1?}", begun.elapsed());
    std::thread::sleep(MARGIN);
    let full = measured(program(folder.path(), &["backup"]));
    println!("full backup: {full}");
    for round in 1..=ROUNDS {
        let made = measured(program(folder.path(), &["backup", "--incremental"]));
        let written = written(folder.path(), &made.output);
        println!("incremental backup {round}, nothing changed: {made}; {written}");
    }
    let changed = folder.path().join("data/arc/iot/cpu/00/00/000000.parquet");
    make_file(&changed, files);
    let made = measured(program(folder.path(), &["backup", "--incremental"]));
    let written = written(folder.path(), &made.output);
    println!(
        "incremental backup, one file changed: {made}; {written}, {:.1} for each unchanged file",
        written.bytes as f64 / files as f64
    );
    let verified = measured(program(folder.path(), &["verify", "--quick", &made.output]));
    println!("verify --quick of it: {verified}");
    count_calls(folder.path());
    restic(folder.path());
}

fn make_tree(folder: &Path, files: usize) {
    let data = folder.join("data/arc");
    std::fs::create_dir_all(&data).unwrap();
    let config = "[storage]\nbackend = \"local\"\nlocal_path = \"./data/arc\"\n\n\
                  [auth]\nenabled = false\ndb_path = \"./data/arc.db\"\n";
    std::fs::write(folder.join("arc.toml"), config).unwrap();
    rusqlite::Connection::open(folder.join("data/arc.db"))
        .unwrap()
        .execute_batch("CREATE TABLE api_tokens (id INTEGER PRIMARY KEY)")
        .unwrap();
    for number in 0..files {
        let (day, hour) = (number / 10_000, number / 200 % 50);
        let above = data.join(format!("iot/cpu/{day:02}/{hour:02}"));
        if number % 200 == 0 {
            std::fs::create_dir_all(&above).unwrap();
        }
        make_file(&above.join(format!("{number:06}.parquet")), number);
    }
}

/// A Parquet file of some rows, of the ten seconds after those of the file before.
fn make_file(path: &Path, number: usize) {
    let rows = 1 + number * 7_919 % 61;
    let start = 1_795_457_400_000_000 + 10_000_000 * number as i64;
    let step = 9_900_000 / rows as i64;
    let times = (0..rows as i64).map(|row| start + row * step).collect();
    write_parquet(path, &[Column::new("time", Values::Time(times))], &[]).unwrap();
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arc-backup"));
    command.arg("-C").arg(folder).args(arguments);
    command
}

/// What a run of a program took.
struct Measured {
    took: Duration,
    /// The most memory that it had.
    memory: u64,
    output: String,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.2} s, {} MiB",
            self.took.as_secs_f64(),
            self.memory >> 20
        )
    }
}

fn measured(mut command: Command) -> Measured {
    let begun = Instant::now();
    let mut child = (command.stdin(Stdio::null()).stdout(Stdio::piped()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    let ended = loop {
        // The high-water mark only grows, so little is missed after the last sample.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|mark| mark.split_whitespace().next()?.parse::<u64>().ok());
        memory = memory.max(kib.unwrap_or_default() << 10);
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = begun.elapsed();
    assert!(ended.success(), "{command:?} failed");
    let mut output = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut output).unwrap();
    Measured {
        took,
        memory,
        output: output.trim().to_owned(),
    }
}

/// What a backup has written to its folder: files that are no links to those of another one.
struct Written {
    data_files: u64,
    bytes: u64,
    inventory: u64,
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} data files and {} bytes written, {} of them the inventory",
            self.data_files, self.bytes, self.inventory
        )
    }
}

fn written(folder: &Path, id: &str) -> Written {
    let backup = folder.join("data/backups").join(id);
    let mut written = Written {
        data_files: 0,
        bytes: 0,
        inventory: 0,
    };
    let mut folders = vec![backup.clone()];
    while let Some(folder) = folders.pop() {
        for child in std::fs::read_dir(folder).unwrap() {
            let path = child.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                folders.push(path);
                continue;
            }
            if meta.nlink() > 1 {
                continue;
            }
            written.bytes += meta.len();
            written.data_files += u64::from(path.starts_with(backup.join("data")));
            if path.ends_with("inventory.jsonl.zst") {
                written.inventory = meta.len();
            }
        }
    }
    written
}

/// Counts the calls that give or take names.
fn count_calls(folder: &Path) {
    let trace = folder.join("trace");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(&trace)
        .arg("-e")
        .arg("trace=link,linkat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,openat,openat2")
        .arg(env!("CARGO_BIN_EXE_arc-backup"))
        .arg("-C")
        .arg(folder)
        .args(["backup", "--incremental"]);
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    match ended {
        Ok(ended) if ended.success() => {
            println!("calls of an incremental backup, nothing changed:");
            print!("{}", std::fs::read_to_string(trace).unwrap());
        }
        _ => println!("strace is not installed, or may not trace: no calls are counted"),
    }
}

fn restic(folder: &Path) {
    if Command::new("restic").arg("version").output().is_err() {
        println!("restic is not installed: nothing to compare with");
        return;
    }
    let repository = folder.join("restic");
    let restic = |arguments: &[&str]| {
        let mut command = Command::new("restic");
        command
            .current_dir(folder)
            .env("RESTIC_PASSWORD", "benchmark")
            .env("RESTIC_CACHE_DIR", folder.join("restic-cache"))
            .arg("-r")
            .arg(&repository)
            .args(arguments);
        command
    };
    measured(restic(&["init"]));
    let data: PathBuf = folder.join("data/arc");
    let data = data.to_str().unwrap();
    println!(
        "restic, first backup: {}",
        measured(restic(&["backup", data]))
    );
    for round in 1..=ROUNDS {
        let made = measured(restic(&["backup", data]));
        println!("restic, backup {round}, nothing changed: {made}");
    }
}
