//! A sample Arc instance: small, invented and real.
//!
//! It is for trying a backup, a restore and the REST service without an Arc at hand, and for tests
//! and benches. What it makes is what Arc itself would have on disk: two databases with five
//! measurements over three fixed days (2026-02-09 to 2026-02-11), some 300 Parquet files under
//! Arc's names, one measurement daily-compacted; an `arc.db` with Arc's schema, in WAL mode; and an
//! `arc.toml`. The data is the same in every sample; the admin token never is.
//!
//! The sample's admin token is kept in clear in `.arc-backup-demo.json` (mode 0600) beside
//! `arc.toml`, so that a second run can show it again. That is acceptable for a sample, whose data
//! is invented, and for nothing else.

mod database;
mod error;
mod folder;
mod parquet;
mod random;
mod series;
#[cfg(test)]
mod tests;
mod token;

use std::fs::{self, File};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

pub use error::DemoError;
pub use parquet::{Column, Values, count_rows, write_parquet};

use folder::{CONFIG, Claim, DATABASE, Marker, PRIVATE_FOLDER, STORAGE, State};

const CONFIG_TEXT: &str = include_str!("arc.toml");

/// What may be chosen about a sample instance that is made. One that is reused stays as it is.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// What the values are drawn from: the same seed gives the same bytes. Names of files do not
    /// depend on it.
    pub seed: u64,
    /// Rows of each measurement an hour. Default 200, some 2 MB altogether.
    pub rows_per_hour: NonZeroU16,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            seed: 20_260_211,
            rows_per_hour: const { NonZeroU16::new(200).expect("200 is not 0") },
        }
    }
}

/// A sample instance on disk.
#[derive(Clone)]
pub struct DemoInstance {
    /// Its `arc.toml`, whose relative paths resolve against the folder that it lies in.
    pub config: PathBuf,
    /// Its admin token.
    pub token: String,
    /// Parquet files, as made.
    pub files: u64,
    /// Rows in all of them, as made.
    pub rows: u64,
    /// Bytes of all of them, as made.
    pub bytes: u64,
    /// Whether it was made just now; else it was there already.
    pub created: bool,
}

impl std::fmt::Debug for DemoInstance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DemoInstance")
            .field("config", &self.config)
            .field("token", &"(redacted)")
            .field("files", &self.files)
            .field("rows", &self.rows)
            .field("bytes", &self.bytes)
            .field("created", &self.created)
            .finish()
    }
}

/// Makes a small but real Arc instance in `folder`, which is created where it is absent.
///
/// A sample that is there already is reused as it is; a half-made one, left by a kill, is removed
/// and made anew. A folder that holds anything else is refused before a byte is written, and
/// nothing that is not part of a sample is ever deleted. A sample whose `arc.toml` or `arc.db` is
/// gone, or whose `arc.db` no longer knows its token, is an error that says what to do.
pub fn make_instance(folder: &Path, options: &DemoOptions) -> Result<DemoInstance, DemoError> {
    if folder::inspect(folder)? == State::Made {
        return reuse(folder);
    }
    fs::create_dir_all(folder).map_err(DemoError::io("create", folder))?;
    let _claim = Claim::take(folder)?;
    // Once more with the claim held: until then another process may have made it.
    if folder::inspect(folder)? == State::Made {
        return reuse(folder);
    }
    folder::clean(folder)?;
    let marker = make(folder, options)?;
    marker.write(folder)?;
    folder::finish(folder)?;
    Ok(instance(folder, marker, true))
}

fn reuse(folder: &Path) -> Result<DemoInstance, DemoError> {
    let marker = Marker::read(folder)?;
    for name in [CONFIG, DATABASE] {
        if !folder.join(name).is_file() {
            return Err(DemoError::Lost {
                folder: folder.to_owned(),
                name,
            });
        }
    }
    if !database::accepts(&folder.join(DATABASE), &marker.token)? {
        return Err(DemoError::TokenGone {
            folder: folder.to_owned(),
        });
    }
    folder::finish(folder)?;
    Ok(instance(folder, marker, false))
}

fn instance(folder: &Path, marker: Marker, created: bool) -> DemoInstance {
    let Marker {
        token,
        files,
        rows,
        bytes,
        ..
    } = marker;
    DemoInstance {
        config: folder.join(CONFIG),
        token,
        files,
        rows,
        bytes,
        created,
    }
}

/// Makes everything but the markers.
fn make(folder: &Path, options: &DemoOptions) -> Result<Marker, DemoError> {
    // It holds the tokens' hashes: Arc keeps its `arc.db` in a folder of mode 0700.
    folder::create_private_folder(&folder.join(PRIVATE_FOLDER))?;
    let (mut files, mut rows, mut bytes) = (0, 0, 0);
    for planned in series::plan() {
        let path = folder.join(STORAGE).join(&planned.key);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(DemoError::io("create", parent))?;
        }
        bytes += write_parquet(&path, &planned.columns(options), planned.tags())?;
        rows += planned.rows(options);
        files += 1;
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(planned.written))
            .map_err(DemoError::io("set the time of", &path))?;
    }
    let token = token::generate()?;
    database::create(&folder.join(DATABASE), &token)?;
    let config = folder.join(CONFIG);
    fs::write(&config, CONFIG_TEXT).map_err(DemoError::io("write", &config))?;
    Ok(Marker::new(token, files, rows, bytes))
}
