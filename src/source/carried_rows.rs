//! Rows of the cold tier that a restore of databases without data carries over.
//!
//! The files stay where they are. A database of before the backup says of those that have moved
//! since that they are hot, where Arc would not find them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arc_backup_core::{Error, ErrorKind, Key, Result};

use super::tier_changes::{RowChange, RowTier, change_rows};
use super::tier_rows::{RowsFault, open};
use crate::files::{create_file, file_error};

/// The cold rows of a database that is replaced, in a file: there may be a million.
#[derive(Debug, Clone)]
pub(super) struct CarriedRows(PathBuf);

impl CarriedRows {
    /// Reads them from the live database into the new file `to`; `None` where there are none, or
    /// none that can be read. Blocks.
    pub(super) fn read(database: &Path, to: PathBuf) -> Result<Option<Self>> {
        let Ok(connection) = open(database) else {
            return Ok(None);
        };
        let fault = |e: std::io::Error| file_error("write", &to, e);
        let mut file = BufWriter::new(create_file(&to).map_err(fault)?);
        let mut count = 0_u64;
        let mut read = || -> rusqlite::Result<std::io::Result<()>> {
            let text = "SELECT path, size_bytes FROM tier_files WHERE tier = 'cold'";
            let mut statement = connection.prepare(text)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let row: (String, i64) = (row.get(0)?, row.get(1)?);
                let line = serde_json::to_string(&row).expect("plain data is valid JSON");
                if let Err(error) = writeln!(file, "{line}") {
                    return Ok(Err(error));
                }
                count += 1;
            }
            Ok(file.flush())
        };
        match read() {
            Ok(written) => written.map_err(fault)?,
            Err(error) => {
                tracing::warn!(%error, "the rows of the cold tier can't be read");
                return Ok(None);
            }
        }
        Ok((count > 0).then_some(Self(to)))
    }

    /// Makes the rows of the restored database say `cold` for the same files.
    pub(super) async fn apply(&self, database: &Path) -> Result<Result<u64, RowsFault>> {
        let path = self.0.clone();
        let file = File::open(&path).map_err(|e| file_error("read", &path, e))?;
        let changes = BufReader::new(file).lines().filter_map(move |line| {
            let change = |line: std::io::Result<String>| {
                let line = line.map_err(|e| file_error("read", &path, e))?;
                let (key, size): (String, i64) = serde_json::from_str(&line).map_err(|e| {
                    let name = path.display().to_string();
                    Error::new(ErrorKind::Corrupt, "read", name, e.to_string())
                })?;
                // A path that is no key names no file of the data.
                Ok(Key::parse(&key).ok().map(|key| RowChange {
                    key,
                    tier: RowTier::Cold,
                    size: u64::try_from(size).unwrap_or_default(),
                    modified: None,
                }))
            };
            change(line).transpose()
        });
        change_rows(database, changes).await
    }
}
