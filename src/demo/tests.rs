//! What a sample instance promises, checked on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::error::DemoError;
use super::instance::DemoInstance;
use super::{DemoOptions, count_rows, make_instance};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/instance");

fn make(folder: &Path) -> Result<DemoInstance, DemoError> {
    make_instance(folder, &DemoOptions::default())
}

/// Every file and folder with its bytes, as they are now.
fn contents(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_owned();
            if path.is_dir() {
                found.insert(relative, None);
                folders.push(path);
            } else {
                found.insert(relative, Some(fs::read(path).unwrap()));
            }
        }
    }
    found
}

fn parquet_files(root: &Path) -> Vec<PathBuf> {
    let paths = contents(root).into_keys();
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "parquet")
        })
        .collect()
}

/// Rows by `database.measurement`, as the footers say.
fn rows_by_measurement(storage: &Path) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for key in parquet_files(storage) {
        let mut parts = key.iter().map(|part| part.to_str().unwrap());
        let name = format!("{}.{}", parts.next().unwrap(), parts.next().unwrap());
        *rows.entry(name).or_default() += count_rows(&storage.join(&key)).unwrap();
    }
    rows
}

fn schema(database: &Path) -> Vec<(String, String, Option<String>)> {
    let uri = format!("file:{}?immutable=1", database.display());
    let connection = Connection::open(uri).unwrap();
    let mut statement = connection
        .prepare("SELECT type, name, sql FROM sqlite_master ORDER BY name")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Makes a whole sample look like one that was killed before its end.
fn halve(folder: &Path) {
    fs::remove_file(folder.join(".arc-backup-demo.json")).unwrap();
    fs::remove_file(folder.join("arc.toml")).unwrap();
    fs::remove_dir_all(folder.join("data/arc/metrics/mem")).unwrap();
    fs::write(folder.join("data/arc.db-journal"), "torn").unwrap();
    fs::write(folder.join(".arc-backup-demo.partial"), "").unwrap();
}

/// Were it wrong, every count that the demo prints would be a lie.
#[test]
fn a_sample_holds_the_rows_and_files_it_states() {
    let folder = TempDir::new().unwrap();
    let made = make(folder.path()).unwrap();
    let storage = folder.path().join("data/arc");
    let rows = rows_by_measurement(&storage);
    let names = [
        "iot.temperature",
        "iot.vibration",
        "metrics.cpu",
        "metrics.disk",
        "metrics.mem",
    ];
    assert_eq!(rows, names.map(|name| (name.to_owned(), 14_400)).into());
    assert!(made.created);
    assert_eq!(made.rows, 5 * 14_400);
    assert_eq!(made.files, parquet_files(&storage).len() as u64);
    assert_eq!(made.files, 4 * 72 + 3);
    let bytes = parquet_files(&storage)
        .into_iter()
        .map(|key| storage.join(key).metadata().unwrap().len());
    assert_eq!(made.bytes, bytes.sum::<u64>());
}

/// Were it lost, two runs of a bench or a test would not compare.
#[test]
fn two_samples_differ_in_their_token_alone() {
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let tokens = [&one, &two].map(|folder| make(folder.path()).unwrap().token);
    assert_ne!(tokens[0], tokens[1]);
    let [one, two] = [one, two].map(|folder| contents(&folder.path().join("data/arc")));
    assert!(one == two);
}

/// Were the schema another, a restore of the sample would not show what a restore of Arc's database
/// does.
#[test]
fn the_database_is_as_arc_makes_it() {
    let folder = TempDir::new().unwrap();
    make(folder.path()).unwrap();
    let path = folder.path().join("data/arc.db");
    assert_eq!(
        schema(&path),
        schema(&Path::new(FIXTURE).join("data/arc.db"))
    );
    assert_eq!(
        fs::read(&path).unwrap()[18..20],
        [2, 2],
        "the header says WAL"
    );
    for companion in ["data/arc.db-wal", "data/arc.db-shm"] {
        assert!(
            !folder.path().join(companion).exists(),
            "{companion} was left"
        );
    }
}

/// Were they readable by others, so would be the token.
#[cfg(unix)]
#[test]
fn what_holds_secrets_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    make(folder.path()).unwrap();
    for (name, mode) in [
        ("data", 0o700),
        ("data/arc.db", 0o600),
        (".arc-backup-demo.json", 0o600),
    ] {
        let found = folder
            .path()
            .join(name)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
}

/// Were it wrong, tests that count rows in the fixture would measure the counting.
#[test]
fn the_fixture_has_the_rows_that_arc_answered() {
    let readme = fs::read_to_string(Path::new(FIXTURE).join("README.md")).unwrap();
    let table: Vec<Vec<&str>> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| | "))
        .take(4)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let storages = [
        (2, "data/arc"),
        (2, "data/backups/backup-20261123-181019-79a1da83/data"),
        (3, "data/backups/backup-20261123-180557-c9b89b7a/data"),
    ];
    for (line, storage) in storages {
        let stated = table[0][1..].iter().zip(&table[line][1..]);
        let stated: BTreeMap<String, u64> = stated
            .map(|(name, rows)| ((*name).to_owned(), rows.parse().unwrap()))
            .collect();
        assert_eq!(stated.len(), 5);
        assert_eq!(
            rows_by_measurement(&Path::new(FIXTURE).join(storage)),
            stated,
            "{storage}"
        );
    }
}

/// Were it lost, a mistyped folder would cost somebody their files.
#[test]
fn a_foreign_folder_is_refused_and_untouched() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/arc.db"), "mine").unwrap();
    let before = contents(folder.path());
    let error = make(folder.path()).unwrap_err();
    assert!(
        matches!(&error, DemoError::NotEmpty { found, .. } if found == "data"),
        "{error}"
    );
    assert_eq!(contents(folder.path()), before);

    let file = folder.path().join("data/arc.db");
    assert!(matches!(make(&file), Err(DemoError::NotAFolder { .. })));
    assert_eq!(contents(folder.path()), before);
}

/// Were it lost, a second run would throw away what was tried in the first.
#[test]
fn a_sample_is_reused_as_it_is() {
    let folder = TempDir::new().unwrap();
    let made = make(folder.path()).unwrap();
    fs::remove_dir_all(folder.path().join("data/arc/iot")).unwrap();
    fs::write(folder.path().join("of-mine"), "kept").unwrap();
    let before = contents(folder.path());
    let reused = make(folder.path()).unwrap();
    assert!(!reused.created);
    assert_eq!(reused.token, made.token);
    assert_eq!(
        (reused.files, reused.rows, reused.bytes),
        (made.files, made.rows, made.bytes)
    );
    assert_eq!(contents(folder.path()), before);
}

/// Were it lost, the demo would hand out a token that opens nothing.
#[test]
fn a_sample_without_its_database_or_token_is_refused() {
    let folder = TempDir::new().unwrap();
    make(folder.path()).unwrap();
    let path = folder.path().join("data/arc.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute("UPDATE api_tokens SET enabled = 0", [])
        .unwrap();
    connection.close().unwrap();
    let error = make(folder.path()).unwrap_err();
    assert!(matches!(error, DemoError::TokenGone { .. }), "{error}");
    fs::remove_file(&path).unwrap();
    let error = make(folder.path()).unwrap_err();
    assert!(
        matches!(
            error,
            DemoError::Lost {
                name: "data/arc.db",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains(folder.path().to_str().unwrap()));
    assert!(!path.exists());
}

/// Were it lost, a kill would leave a folder that is neither a sample nor free for one.
#[test]
fn a_half_made_sample_is_made_again() {
    let folder = TempDir::new().unwrap();
    make(folder.path()).unwrap();
    halve(folder.path());
    assert!(make(folder.path()).unwrap().created);
    assert_eq!(
        rows_by_measurement(&folder.path().join("data/arc")).len(),
        5
    );
    assert!(!folder.path().join(".arc-backup-demo.partial").exists());
    assert!(!folder.path().join("data/arc.db-journal").exists());
    fs::write(folder.path().join(".arc-backup-demo.partial"), "").unwrap();
    assert!(
        !make(folder.path()).unwrap().created,
        "killed after the marker, it is whole"
    );
    assert!(!folder.path().join(".arc-backup-demo.partial").exists());
}

/// Were it lost, cleaning up after a kill would delete somebody's files, or reach through a link.
#[test]
fn a_half_made_sample_with_foreign_files_is_untouched() {
    for foreign in ["notes.txt", "data/arc/iot/temperature/2026/mine.parquet"] {
        let folder = TempDir::new().unwrap();
        make(folder.path()).unwrap();
        halve(folder.path());
        fs::write(folder.path().join(foreign), "mine").unwrap();
        let before = contents(folder.path());
        let error = make(folder.path()).unwrap_err();
        assert!(
            matches!(&error, DemoError::Foreign { found, .. } if found == foreign),
            "{error}"
        );
        assert_eq!(contents(folder.path()), before);
    }
}
