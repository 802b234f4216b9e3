//! Changing rows of `tier_files` after a restore, so that Arc finds each file in its tier.

use std::path::Path;
use std::time::SystemTime;

use arc_backup_core::{BlockingJob, Error, ErrorKind, Key, Result};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::contents::partition_of;
use super::snapshot::{BUSY_LIMIT, open_live, sqlite_error};
use super::tier_rows::{RowsFault, check_columns};

/// How many rows are changed in one transaction: a running Arc waits for it.
const ROWS_TOGETHER: usize = 500;

/// What the row of a file is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RowTier {
    Hot,
    /// The same, where there is a row, and it says `cold`.
    NotCold,
    Cold,
    /// There is none: the file is no longer in the cold tier.
    Gone,
}

/// A row to be changed.
#[derive(Debug, Clone)]
pub(super) struct RowChange {
    pub(super) key: Key,
    pub(super) tier: RowTier,
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
}

/// Changes the rows in the live database, some in each transaction; returns how many, or why it
/// can't be done.
pub(super) async fn change_rows(
    database: &Path,
    changes: impl Iterator<Item = Result<RowChange>> + Send + 'static,
) -> Result<Result<u64, RowsFault>> {
    let (database, counted) = (database.to_owned(), BlockingJob::begin());
    let work = move || {
        let _counted = counted;
        change_all(&database, changes)
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::new(ErrorKind::Other, "write", "tier_files", e.to_string()))?
}

fn change_all(
    database: &Path,
    changes: impl Iterator<Item = Result<RowChange>>,
) -> Result<Result<u64, RowsFault>> {
    let mut changes = changes.peekable();
    if changes.peek().is_none() {
        return Ok(Ok(0));
    }
    if !database.exists() {
        return Ok(Err(RowsFault::NoDatabase));
    }
    let mut connection = open_live(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let fault = |e| sqlite_error("write", database, e);
    connection.busy_timeout(BUSY_LIMIT).map_err(fault)?;
    let has_quarantine = match check_columns(&connection) {
        Ok(has_quarantine) => has_quarantine,
        Err(fault) => return Ok(Err(fault)),
    };
    let now = Timestamp::now();
    let mut count = 0;
    while changes.peek().is_some() {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(fault)?;
        for change in changes.by_ref().take(ROWS_TOGETHER) {
            let changed = change_row(&transaction, &change?, has_quarantine, now);
            count += changed.map_err(fault)? as u64;
        }
        transaction.commit().map_err(fault)?;
    }
    Ok(Ok(count))
}

/// Changes one row, or makes it; returns how many were changed.
fn change_row(
    connection: &Connection,
    change: &RowChange,
    has_quarantine: bool,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let key = change.key.as_str();
    // Arc acts on no quarantined row.
    let usable = match has_quarantine {
        true => " AND quarantined_at IS NULL",
        false => "",
    };
    if change.tier == RowTier::Gone {
        let text = format!("DELETE FROM tier_files WHERE path = ?1 AND tier = 'cold'{usable}");
        return connection.prepare(&text)?.execute([key]);
    }
    if change.tier == RowTier::NotCold {
        let text = format!(
            "UPDATE tier_files SET tier = 'hot', migrated_at = NULL WHERE path = ?1 AND tier = 'cold'{usable}"
        );
        return connection.prepare(&text)?.execute([key]);
    }
    let size = i64::try_from(change.size).unwrap_or(i64::MAX);
    let (tier, migrated) = match change.tier {
        RowTier::Cold => ("cold", Some(at_second(now))),
        _ => ("hot", None),
    };
    let text = format!(
        "UPDATE tier_files SET migrated_at = iif(tier = ?2 AND ?2 = 'cold', migrated_at, ?3), tier = ?2, size_bytes = ?4 \
         WHERE path = ?1{usable}"
    );
    let updated = (connection.prepare(&text)?).execute(params![key, tier, migrated, size])?;
    if updated > 0 {
        return Ok(updated);
    }
    // As Arc splits a path, also of a database that was synced from an edge node. A file that is in
    // no folder of a time has no row.
    let mut segments = key.split('/');
    let (Some(database), Some(measurement), Some(partition_time)) =
        (segments.next(), segments.next(), partition_of(key))
    else {
        return Ok(0);
    };
    let created = change
        .modified
        .and_then(|time| Timestamp::try_from(time).ok());
    let text = "INSERT OR IGNORE INTO tier_files (path, database, measurement, partition_time, tier, size_bytes, created_at, \
                migrated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare(text)?.execute(params![
        key,
        database,
        measurement,
        with_zone(partition_time),
        tier,
        size,
        with_zone(created.unwrap_or(now)),
        migrated
    ])
}

/// As SQLite's `CURRENT_TIMESTAMP` has it.
fn at_second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// As Arc writes a moment: `2036-11-20 18:06:42.823682213+00:00`.
fn with_zone(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.f+00:00").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "CREATE TABLE tier_files (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT UNIQUE NOT NULL, \
        database TEXT NOT NULL, measurement TEXT NOT NULL, partition_time TIMESTAMP NOT NULL, tier TEXT NOT NULL DEFAULT 'hot', \
        size_bytes INTEGER NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, migrated_at TIMESTAMP, \
        quarantined_at TIMESTAMP, quarantine_reason TEXT)";

    fn change(key: &str, tier: RowTier) -> Result<RowChange> {
        Ok(RowChange {
            key: Key::parse(key).expect("a key"),
            tier,
            size: 7,
            modified: Some(SystemTime::UNIX_EPOCH),
        })
    }

    /// Guards against rows that Arc does not read, or reads as of another time: it compares texts.
    #[test]
    fn rows_are_written_as_arc_writes_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("arc.db");
        let connection = Connection::open(&path).expect("a database");
        connection.execute_batch(TABLE).expect("a table");
        let insert = "INSERT INTO tier_files (path, database, measurement, partition_time, tier, size_bytes, migrated_at, quarantined_at) \
             VALUES (?1, 'd', 'm', 'p', ?2, 1, ?3, ?4)";
        for (key, tier, migrated, quarantined) in [
            ("d/m/was-hot", "hot", None, None),
            ("d/m/was-cold", "cold", Some("2026-01-01 00:00:00"), None),
            ("d/m/odd", "cold", None, Some("2026-01-01 00:00:00")),
            ("d/m/to-hot", "cold", Some("2026-01-01 00:00:00"), None),
            ("d/m/gone", "cold", None, None),
            ("d/m/stays", "hot", None, None),
            ("d/m/back", "cold", Some("2026-01-01 00:00:00"), None),
        ] {
            let row = params![key, tier, migrated, quarantined];
            connection.execute(insert, row).expect("a row");
        }
        let new = "spoke/d/m/2026/02/03/04/m_1.parquet";
        let changes = vec![
            change("d/m/was-hot", RowTier::Cold),
            change("d/m/was-cold", RowTier::Cold),
            change("d/m/odd", RowTier::Hot),
            change("d/m/to-hot", RowTier::Hot),
            change("d/m/gone", RowTier::Gone),
            change("d/m/stays", RowTier::Gone),
            change("d/m/back", RowTier::NotCold),
            change("d/m/stays", RowTier::NotCold),
            change("d/m/absent", RowTier::NotCold),
            change(new, RowTier::Cold),
        ];
        let count = change_all(&path, changes.into_iter()).expect("written");
        assert_eq!(count, Ok(6));
        let row = |key: &str| -> Option<(String, i64, Option<String>)> {
            let text = "SELECT tier, size_bytes, migrated_at FROM tier_files WHERE path = ?1";
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            connection.query_row(text, [key], read).ok()
        };
        let (tier, size, migrated) = row("d/m/was-hot").expect("a row");
        assert_eq!((tier.as_str(), size), ("cold", 7));
        assert_eq!(
            migrated.map(|text| text.len()),
            Some("2026-01-01 00:00:00".len())
        );
        let kept = Some("2026-01-01 00:00:00".to_owned());
        assert_eq!(row("d/m/was-cold"), Some(("cold".to_owned(), 7, kept)));
        assert_eq!(row("d/m/odd").expect("a row").0, "cold");
        assert_eq!(row("d/m/to-hot"), Some(("hot".to_owned(), 7, None)));
        assert_eq!(row("d/m/back"), Some(("hot".to_owned(), 1, None)));
        assert_eq!(row("d/m/absent"), None);
        assert_eq!(row("d/m/gone"), None);
        assert_eq!(row("d/m/stays").expect("a row").0, "hot");
        let made: (String, String, String, String) = connection
            .query_row(
                "SELECT database, measurement, partition_time, created_at FROM tier_files WHERE path = ?1",
                [new],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .expect("a row");
        let expected = [
            "spoke",
            "d",
            "2026-02-03 04:00:00+00:00",
            "1970-01-01 00:00:00+00:00",
        ];
        assert_eq!([&*made.0, &*made.1, &*made.2, &*made.3], expected);
    }

    /// Guards against rows of a table that only looks like the one that is known.
    #[test]
    fn a_table_of_an_unknown_form_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("arc.db");
        let connection = Connection::open(&path).expect("a database");
        let changes = || vec![change("d/m/a", RowTier::Cold)].into_iter();
        assert_eq!(
            change_all(&path, changes()).expect("read"),
            Err(RowsFault::NoTable)
        );
        for (table, named) in [
            (TABLE.replace("migrated_at", "moved_at"), "migrated_at"),
            (
                TABLE.replace("quarantine_reason TEXT", "node TEXT NOT NULL"),
                "node",
            ),
        ] {
            connection
                .execute_batch(&format!("DROP TABLE IF EXISTS tier_files; {table}"))
                .expect("a table");
            let fault = change_all(&path, changes())
                .expect("read")
                .expect_err(named);
            assert!(fault.to_string().contains(named), "{fault}");
        }
    }
}
