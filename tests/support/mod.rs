//! Shared by the black-box tests: a copy of the sample instance, the program, and the service.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

pub mod contract;
pub mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
pub use service::{Answer, Service};

/// The sample's admin token, from its README.
pub const ADMIN: &str = "sample-admin-token-0123456789abcdef0123456789";
/// Arc's own backup from before compaction.
pub const ARC_OLD: &str = "backup-20261123-180557-c9b89b7a";
/// Arc's own backup of the live state.
pub const ARC_NEW: &str = "backup-20261123-181019-79a1da83";

/// An id without a backup.
pub const UNKNOWN: &str = "backup-20260101-000000-00000000";

/// A copy of the sample instance that Arc wrote, in a temporary folder.
pub struct Instance {
    folder: tempfile::TempDir,
}

impl Instance {
    /// A fresh copy. A missing fixture fails the test.
    pub fn new() -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/instance");
        let folder = tempfile::tempdir().unwrap();
        copy_tree(&from, folder.path());
        assert_eq!(
            files(&folder.path().join("data/arc")).len(),
            105,
            "the fixture is not whole"
        );
        Self { folder }
    }

    /// An instance without data: only an `arc.toml` with this text.
    pub fn with_config(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("arc.toml"), text).unwrap();
        Self { folder }
    }

    pub fn path(&self, rest: &str) -> PathBuf {
        self.folder.path().join(rest)
    }

    /// Appends to `arc.toml`.
    pub fn configure(&self, text: &str) {
        let path = self.path("arc.toml");
        let old = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{old}\n{text}\n")).unwrap();
    }

    /// The program, ready to run in this instance.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_arc-backup"));
        command
            .arg("-C")
            .arg(self.folder.path())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program with `--json` and returns its exit code and document.
    pub fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.run(&[&["--json"], arguments].concat());
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", text(&output)));
        (output.status.code().unwrap(), document)
    }

    /// Runs the program, which must succeed, and returns its output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?} failed: {}",
            text(&output)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes a backup and returns its id.
    pub fn backup(&self) -> String {
        self.ok(&["backup"])
    }

    pub fn backup_folder(&self, id: &str) -> PathBuf {
        self.path("data/backups").join(id)
    }

    /// The live data: path → (bytes, mode, modification time in ns).
    pub fn live(&self) -> BTreeMap<String, (Vec<u8>, u32, i128)> {
        tree(&self.path("data/arc"))
    }

    /// Starts the service on a free port.
    pub fn serve(&self) -> Service {
        self.serve_with(|command| command)
    }

    /// The same, with a change of the command (environment, arguments).
    pub fn serve_with(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> Service {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        change(&mut command);
        Service::start(command)
    }

    /// The same, with a limit on open files.
    pub fn serve_with_open_files(&self, limit: u32) -> Service {
        let serve = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh"])
            .arg(serve.get_program())
            .args(serve.get_args())
            .stdin(Stdio::null());
        Service::start(command)
    }
}

/// The lines of the inventory in the folder of a backup.
pub fn inventory_of(folder: &Path) -> String {
    let bytes = std::fs::read(folder.join("inventory.jsonl.zst")).unwrap();
    String::from_utf8(zstd::decode_all(&*bytes).unwrap()).unwrap()
}

/// Replaces the inventory in the folder of a backup.
pub fn write_inventory(folder: &Path, lines: &str) {
    let bytes = zstd::encode_all(lines.as_bytes(), 1).unwrap();
    std::fs::write(folder.join("inventory.jsonl.zst"), bytes).unwrap();
}

/// Standard output and error of a command.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Copies a folder with modes and modification times.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for child in std::fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let child = child.unwrap();
        let target = to.join(child.file_name());
        if child.file_type().unwrap().is_dir() {
            copy_tree(&child.path(), &target);
        } else {
            std::fs::copy(child.path(), &target).unwrap();
            let modified = child.metadata().unwrap().modified().unwrap();
            std::fs::File::options()
                .write(true)
                .open(&target)
                .unwrap()
                .set_modified(modified)
                .unwrap();
        }
    }
}

/// Regular files below a folder, by relative path.
pub fn files(root: &Path) -> Vec<String> {
    tree(root).into_keys().collect()
}

/// Regular files below a folder: path → (bytes, mode, modification time in ns).
pub fn tree(root: &Path) -> BTreeMap<String, (Vec<u8>, u32, i128)> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, (Vec<u8>, u32, i128)>) {
        use std::os::unix::fs::MetadataExt;
        let Ok(children) = std::fs::read_dir(folder) else {
            return;
        };
        for child in children {
            let path = child.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                walk(root, &path, found);
            } else if meta.is_file() {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                let time = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
                found.insert(
                    name,
                    (std::fs::read(&path).unwrap(), meta.mode() & 0o7777, time),
                );
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// Rows by measurement, counted in the Parquet files themselves.
pub fn rows(data: &Path) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for file in files(data).iter().filter(|file| file.ends_with(".parquet")) {
        let measurement = file.splitn(3, '/').take(2).collect::<Vec<_>>().join(".");
        *rows.entry(measurement).or_default() +=
            arc_backup::testing::count_rows(&data.join(file)).unwrap();
    }
    rows
}

/// Every row of every table of a database, as text; creates no file beside it.
pub fn database_rows(path: &Path) -> Vec<String> {
    let uri = format!("file:{}?mode=ro", path.display());
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    let connection = rusqlite::Connection::open_with_flags(uri, flags).unwrap();
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap();
    let tables: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut all = Vec::new();
    for table in tables {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM \"{table}\""))
            .unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns)
                .map(|i| format!("{:?}", row.get_ref(i).unwrap()))
                .collect();
            all.push(format!("{table}: {}", values.join(", ")));
        }
    }
    all
}

/// Runs a command that has to end within half a minute; otherwise its exit code is 124.
pub fn timely(instance: &Instance, arguments: &[&str]) -> Output {
    let command = instance.command(arguments);
    let mut timed = Command::new("timeout");
    timed
        .arg("30")
        .arg(command.get_program())
        .args(command.get_args());
    timed.stdin(Stdio::null()).output().unwrap()
}

pub fn timely_json(instance: &Instance, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = timely(instance, &[&["--json"], arguments].concat());
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", text(&output)));
    (output.status.code(), document)
}

pub fn data_file(folder: &Path) -> String {
    let all = files(folder);
    all.into_iter().find(|f| f.starts_with("data/")).unwrap()
}

/// Everything below a folder, folders and links too, whose name contains one of the parts.
pub fn named_like(folder: &Path, parts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for child in std::fs::read_dir(folder).unwrap() {
        let child = child.unwrap();
        let name = child.file_name().to_string_lossy().into_owned();
        if parts.iter().any(|part| name.contains(part)) {
            found.push(child.path().display().to_string());
        }
        if child.file_type().unwrap().is_dir() {
            found.extend(named_like(&child.path(), parts));
        }
    }
    found
}

/// Makes the live state differ from any backup: one file gone, one rewritten, one added, the
/// database changed. Returns the first.
pub fn change_live(instance: &Instance) -> String {
    let root = instance.path("data/arc");
    let all = files(&root);
    std::fs::remove_file(root.join(&all[3])).unwrap();
    std::fs::write(root.join(&all[4]), b"rewritten").unwrap();
    std::fs::write(root.join("iot/added.parquet"), b"added").unwrap();
    let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    connection
        .execute_batch("DELETE FROM api_tokens WHERE id > 1")
        .unwrap();
    all[3].clone()
}

/// Runs a restore that has to fail without a change of the live data.
pub fn refused(instance: &Instance, id: &str, named: &str, case: &str) {
    let database = instance.path("data/arc.db");
    let before = (instance.live(), std::fs::read(&database).unwrap());
    let output = timely(instance, &["--json", "restore", id, "--yes"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{case}: {said}");
    assert!(said.contains(named), "{case}: {said}");
    let after = (instance.live(), std::fs::read(&database).unwrap());
    assert!(before == after, "{case}: live data changed");
    let left = named_like(&instance.path(""), &[".tmp", "before-restore"]);
    assert_eq!(left, Vec::<String>::new(), "{case}");
}

/// The files that restores have kept of the one at `path`, the oldest first.
pub fn kept(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let begins = format!("{name}.before-restore.");
    let mut kept: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|child| child.unwrap().path())
        .filter(|child| {
            let name = child.file_name().unwrap().to_str().unwrap();
            name.starts_with(&begins) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .collect();
    kept.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
    kept
}

/// The warnings of an operation, but those of data files that are no Parquet: tests write such.
pub fn warnings(operation: &Value) -> Vec<String> {
    let all = operation["warnings"].as_array();
    (all.into_iter().flatten())
        .map(|warning| warning.as_str().unwrap().to_owned())
        .filter(|warning| !warning.starts_with("damaged source files"))
        .collect()
}

pub fn has_problem(operation: &Value, path: &str, kind: &str) -> bool {
    let problems = operation["problems"].as_array().unwrap();
    problems
        .iter()
        .any(|p| p["path"] == path && p["kind"] == kind)
}

/// Multiplies the Parquet files to 600 and more.
pub fn enlarge(instance: &Instance) {
    let root = instance.path("data/arc");
    for file in files(&root).iter().filter(|f| f.ends_with(".parquet")) {
        for copy in 0..5 {
            let name = file.replace(".parquet", &format!("{copy}.parquet"));
            std::fs::copy(root.join(file), root.join(name)).unwrap();
        }
    }
    assert!(files(&root).len() > 500);
}

/// Marsaglia's xorshift64.
pub fn xorshift(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// Kills the command at a random moment of the microseconds that it takes, and again if it had not
/// yet begun its operation. Returns whether it was running. Otherwise it had ended, and the time is
/// reduced.
pub fn kill_within(
    instance: &Instance,
    arguments: &[&str],
    random: &mut impl FnMut(u64) -> u64,
    takes: &mut u64,
) -> bool {
    let lock = instance.path("data/backups/.arc-backup/instance.lock");
    loop {
        let mut command = instance.command(arguments);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().unwrap();
        std::thread::sleep(Duration::from_micros(random(*takes)));
        let has_ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        let pid = child.id().to_string();
        let had_begun = std::fs::read_to_string(&lock).is_ok_and(|text| text.contains(&pid));
        if has_ended {
            *takes = (*takes * 4 / 5).max(5_000);
            return false;
        }
        if had_begun {
            return true;
        }
        *takes = *takes * 21 / 20 + 100;
    }
}

/// The number of listed backups. None may be damaged, and those not `known` yet must verify.
pub fn whole_backups(instance: &Instance, known: &mut BTreeSet<String>) -> usize {
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["damaged"], serde_json::json!([]), "{list}");
    let backups = list["backups"].as_array().unwrap();
    for id in backups.iter().map(|b| b["backup_id"].as_str().unwrap()) {
        if known.insert(id.to_owned()) {
            instance.ok(&["verify", id]);
        }
    }
    backups.len()
}

pub fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}
