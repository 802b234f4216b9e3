//! Making a sample instance, and reusing one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::error::DemoError;
use super::folder::{self, Claim, FolderState, Marker, create_private_folder};
use super::names::{CONFIG, DATABASE, PRIVATE_FOLDER, STORAGE};
use super::options::DemoOptions;
use super::parquet::write_parquet;
use super::{database, series, token};

const CONFIG_TEXT: &str = include_str!("arc.toml");

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
    /// Whether it was made just now; otherwise it existed already.
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

/// Makes a small but real Arc instance in `folder`, which is created where it is missing.
///
/// An existing sample is reused as it is. A half-made one of a killed process is removed and made
/// again. A folder that holds anything else is refused before a byte is written, and nothing that
/// is not part of a sample is ever deleted.
///
/// # Errors
/// [`DemoError`] names the folder and what to do: the folder holds something else, or a sample has
/// lost its `arc.toml`, its `arc.db` or its token.
pub fn make_instance(folder: &Path, options: &DemoOptions) -> Result<DemoInstance, DemoError> {
    if folder::inspect(folder)? == FolderState::Made {
        return reuse(folder);
    }
    fs::create_dir_all(folder).map_err(DemoError::io("create", folder))?;
    let _claim = Claim::take(folder)?;
    // Again with the claim held: another process may have made it before.
    if folder::inspect(folder)? == FolderState::Made {
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
    create_private_folder(&folder.join(PRIVATE_FOLDER))?;
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
