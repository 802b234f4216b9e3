//! The token table in every state in which it may be found.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::database::open;
use super::*;

const ARC_SCHEMA: &str = "CREATE TABLE api_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, token_hash TEXT NOT NULL,
    description TEXT, permissions TEXT DEFAULT 'read,write', created_at TIMESTAMP, last_used_at TIMESTAMP,
    expires_at TIMESTAMP, enabled INTEGER DEFAULT 1, token_prefix TEXT);";
const PREFIX: &str = "0123456789abcdef";

/// A database made by `statements`, in a folder whose name needs escaping in a URI.
fn database(statements: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::with_prefix("a b?c%41#é").expect("a folder");
    let path = folder.path().join("arc.db");
    let writer = Connection::open(&path).expect("a database");
    writer.execute_batch(statements).expect("statements");
    (folder, path)
}

fn rows(path: &Path) -> Option<Vec<Candidate>> {
    match look_up(path, PREFIX, &LogThrottle::default()).expect("a readable database") {
        Lookup::Tokens(rows) => Some(rows),
        Lookup::NoTokens => None,
    }
}

fn names(path: &Path) -> Option<Vec<String>> {
    rows(path).map(|rows| rows.into_iter().map(|row| row.name).collect())
}

/// Guards against: accepting rows of other prefixes or disabled ones, and omitting rows without a
/// prefix.
#[test]
fn prefix_and_legacy_rows_that_are_enabled_are_candidates() {
    let (_folder, path) = database(&format!(
        "{ARC_SCHEMA} INSERT INTO api_tokens (name, token_hash, enabled, token_prefix) VALUES
         ('mine', 'h', 1, '{PREFIX}'), ('off', 'h', 0, '{PREFIX}'), ('other', 'h', 1, 'fedcba9876543210'),
         ('old', 'h', 1, '__legacy__'), ('old-off', 'h', 0, '__legacy__'), ('none', 'h', 1, NULL),
         ('null', 'h', NULL, '{PREFIX}');"
    ));
    let rows = rows(&path).expect("tokens");
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.name.as_str(), row.is_likely))
        .collect();
    assert_eq!(found, [("mine", true), ("old", false)]);
}

/// Guards against: unusual values that make a token stronger or longer-lived.
#[test]
fn odd_values_never_let_more_in() {
    let (_folder, path) = database(&format!(
        "{ARC_SCHEMA} INSERT INTO api_tokens (name, token_hash, permissions, expires_at, token_prefix) VALUES
         ('null', 'h', NULL, NULL, '{PREFIX}'), ('epoch', 'h', 'admin', 4102444800, '{PREFIX}'),
         ('real', 'h', 'admin', 4102444800.5, '{PREFIX}'), ('blob', x'6868', x'61646d696e', x'00', '{PREFIX}'),
         ('word', 'h', 'admin', 'never', '{PREFIX}'), ('latin', CAST(x'ff' AS TEXT), 'admin', NULL, '{PREFIX}');"
    ));
    let rows = rows(&path).expect("tokens");
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.name.as_str(),
                row.is_admin,
                row.expiry,
                row.hash.as_str(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("null", false, Expiry::Never, "h"),
            ("epoch", true, Expiry::Unreadable, "h"),
            ("real", true, Expiry::Unreadable, "h"),
            ("blob", false, Expiry::Unreadable, ""),
            ("word", true, Expiry::Unreadable, "h"),
            ("latin", true, Expiry::Never, ""),
        ]
    );
}

/// Guards against: refusing every token of an Arc without prefixes.
#[test]
fn without_a_prefix_column_all_rows_are_candidates() {
    let (_folder, path) = database(
        "CREATE TABLE api_tokens (name TEXT, token_hash TEXT, permissions TEXT, expires_at TEXT, enabled INTEGER);
         INSERT INTO api_tokens VALUES ('a', 'h', 'admin', NULL, 1), ('b', 'h', 'admin', NULL, 0);",
    );
    let rows = rows(&path).expect("tokens");
    assert!(rows.len() == 1 && rows[0].name == "a" && !rows[0].is_likely);
}

/// Guards against: a table that can't be judged and counts as empty, so that the bootstrap token is
/// accepted.
#[test]
fn a_table_without_expiry_is_an_error() {
    let (_folder, path) = database(
        "CREATE TABLE api_tokens (name TEXT, token_hash TEXT, permissions TEXT, enabled INTEGER);
         INSERT INTO api_tokens VALUES ('a', 'h', 'admin', 1);",
    );
    let error = look_up(&path, PREFIX, &LogThrottle::default())
        .err()
        .expect("an error");
    assert!(matches!(
        error,
        AuthError::Schema {
            column: "expires_at",
            ..
        }
    ));
}

/// Guards against: no way to start a restore when the database is damaged.
#[test]
fn missing_garbage_and_empty_databases_have_no_tokens() {
    let (folder, empty) = database(ARC_SCHEMA);
    let missing = folder.path().join("none/arc.db");
    let below_a_file = empty.join("arc.db");
    let garbage = folder.path().join("garbage.db");
    fs::write(&garbage, "no database at all, ".repeat(500)).expect("a file");
    let zero = folder.path().join("zero.db");
    fs::write(&zero, "").expect("a file");
    let (_other, no_table) = database("CREATE TABLE other (a);");
    for path in [empty, missing, below_a_file, garbage, zero, no_table] {
        assert!(names(&path).is_none(), "{}", path.display());
        assert!(!has_tokens(&path, &LogThrottle::default()).expect("readable"));
    }
}

/// Guards against: a bootstrap token that is accepted because every other token is disabled.
#[test]
fn disabled_tokens_are_tokens() {
    let (_folder, path) = database(&format!(
        "{ARC_SCHEMA} INSERT INTO api_tokens (name, token_hash, enabled) VALUES ('off', 'h', 0);"
    ));
    assert_eq!(names(&path), Some(Vec::new()));
    assert!(has_tokens(&path, &LogThrottle::default()).expect("readable"));
}

/// Guards against: a busy database that counts as one without tokens.
#[test]
fn a_locked_database_is_an_error_after_a_while() {
    let (_folder, path) = database(&format!(
        "{ARC_SCHEMA} INSERT INTO api_tokens (name, token_hash) VALUES ('a', 'h');"
    ));
    let writer = Connection::open(&path).expect("a database");
    writer.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let error = look_up(&path, PREFIX, &LogThrottle::default())
        .err()
        .expect("an error");
    assert!(matches!(error, AuthError::Locked { .. }), "{error}");
    writer.execute_batch("ROLLBACK").expect("no lock");
    assert!(names(&path).is_some());
}

/// Guards against: missing the latest tokens of a running Arc, which are in `-wal`.
#[test]
fn a_live_wal_is_read() {
    let (_folder, path) = database(&format!("PRAGMA journal_mode = wal; {ARC_SCHEMA}"));
    let writer = Connection::open(&path).expect("a database");
    writer
        .execute(
            "INSERT INTO api_tokens (name, token_hash, token_prefix) VALUES ('new', 'h', ?1)",
            [PREFIX],
        )
        .expect("a row");
    assert_eq!(names(&path), Some(vec!["new".to_owned()]));
}

/// Guards against: no authentication on a read-only mount, and missing the revocations in an
/// unreadable `-wal`.
#[test]
fn without_shm_a_settled_database_is_read_as_immutable() {
    let (_folder, path) = database(&format!(
        "PRAGMA journal_mode = wal; {ARC_SCHEMA}
         INSERT INTO api_tokens (name, token_hash, token_prefix) VALUES ('a', 'h', '{PREFIX}');"
    ));
    // A dangling link in its place: as root, nothing else keeps SQLite from making the file.
    std::os::unix::fs::symlink("/nowhere/arc.db-shm", path.with_file_name("arc.db-shm"))
        .expect("a link");
    let plain = open(&path, false).and_then(|plain| has_rows(&plain));
    assert!(plain.is_err(), "the link is in SQLite's way");
    assert_eq!(names(&path), Some(vec!["a".to_owned()]));
    fs::write(path.with_file_name("arc.db-wal"), "unread").expect("a file");
    let error = look_up(&path, PREFIX, &LogThrottle::default())
        .err()
        .expect("an error");
    assert!(matches!(error, AuthError::Database { .. }), "{error}");
}

/// Guards against: no answer, or access, where the path is a folder.
#[test]
fn a_folder_is_an_error() {
    let (folder, _path) = database(ARC_SCHEMA);
    assert!(look_up(folder.path(), PREFIX, &LogThrottle::default()).is_err());
}
