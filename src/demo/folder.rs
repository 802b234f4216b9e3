//! The folder of a sample instance: what it holds, and the two markers that say so.
//!
//! `.arc-backup-demo.partial` is the first file written and the last removed, and is locked while
//! the sample is made. `.arc-backup-demo.json` is written when everything else exists. A folder
//! with the second holds a whole sample, a folder with only the first a half-made one, and a folder
//! with neither belongs to somebody else. A half-made sample is removed by the names that a sample
//! has, and only if the folder holds no others.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::DemoError;
use super::names::{
    CONFIG, DATABASE, DATABASE_COMPANIONS, MARKER, PARTIAL, PARTIAL_MARKER, STORAGE,
};
use super::series;

/// The version of [`Marker`].
const FORMAT: u32 = 1;

/// What is in `.arc-backup-demo.json`: the sample's token, and what was made.
#[derive(Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) format: u32,
    pub(super) about: String,
    pub(super) token: String,
    pub(super) files: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl Marker {
    pub(super) fn new(token: String, files: u64, rows: u64, bytes: u64) -> Self {
        let about =
            "Sample Arc instance made by arc-backup. The token is the sample's admin token; \
                     a real instance keeps none in clear."
                .to_owned();
        Self {
            format: FORMAT,
            about,
            token,
            files,
            rows,
            bytes,
        }
    }

    /// Reads the marker of the sample in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, DemoError> {
        let path = folder.join(MARKER);
        let text = fs::read(&path).map_err(DemoError::io("read", &path))?;
        match serde_json::from_slice::<Self>(&text) {
            Ok(marker) if marker.format == FORMAT => Ok(marker),
            Ok(marker) => {
                let detail = format!("its format is {}, not {FORMAT}", marker.format);
                Err(DemoError::Marker { path, detail })
            }
            Err(error) => Err(DemoError::Marker {
                path,
                detail: error.to_string(),
            }),
        }
    }

    /// Writes the marker, mode 0600, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), DemoError> {
        let (partial, path) = (folder.join(PARTIAL_MARKER), folder.join(MARKER));
        let text = serde_json::to_vec_pretty(self).expect("a struct of text and numbers is JSON");
        let mut file = create_private(&partial)?;
        file.write_all(&text)
            .map_err(DemoError::io("write", &partial))?;
        fs::rename(&partial, &path).map_err(DemoError::io("create", &path))
    }
}

/// What a folder holds of a sample instance.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FolderState {
    /// Absent, or empty.
    Vacant,
    /// Half-made, or being made now.
    Partial,
    /// Made.
    Made,
}

/// Looks at `folder`, and changes nothing. A folder that holds something else is an error.
pub(super) fn inspect(folder: &Path) -> Result<FolderState, DemoError> {
    match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FolderState::Vacant),
        Err(error) => return Err(DemoError::io("look at", folder)(error)),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(DemoError::NotAFolder {
                folder: folder.to_owned(),
            });
        }
        Ok(_) => {}
    }
    let names = names(folder)?;
    if names.contains(Path::new(MARKER)) {
        return Ok(FolderState::Made);
    }
    if names.contains(Path::new(PARTIAL)) {
        return Ok(FolderState::Partial);
    }
    match names.first() {
        None => Ok(FolderState::Vacant),
        Some(found) => Err(DemoError::NotEmpty {
            folder: folder.to_owned(),
            found: found.display().to_string(),
        }),
    }
}

/// The right to make the sample in a folder: its partial marker, locked as long as this lives.
pub(super) struct Claim(#[expect(dead_code, reason = "held for its lock")] File);

impl Claim {
    /// Claims `folder`, which exists. Another process's claim is an error.
    pub(super) fn take(folder: &Path) -> Result<Self, DemoError> {
        let path = folder.join(PARTIAL);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(DemoError::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(DemoError::InProgress {
                folder: folder.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(DemoError::io("lock", &path)(error)),
        }
    }
}

/// Removes the partial marker of a folder that holds a whole sample.
pub(super) fn finish(folder: &Path) -> Result<(), DemoError> {
    remove(&folder.join(PARTIAL))
}

/// Removes a half-made sample from `folder`, except the partial marker, whose claim the caller
/// holds. If the folder holds anything else, that is an error and nothing is removed.
pub(super) fn clean(folder: &Path) -> Result<(), DemoError> {
    let layout = Layout::new();
    if let Some(found) = layout.foreign(folder, Path::new(""))? {
        let found = found.display().to_string();
        return Err(DemoError::Foreign {
            folder: folder.to_owned(),
            found,
        });
    }
    for file in layout
        .files
        .iter()
        .filter(|file| file.as_path() != Path::new(PARTIAL))
    {
        remove(&folder.join(file))?;
    }
    // A folder sorts before what is in it, so the last is the deepest; and one that is not empty
    // stays.
    for child in layout.folders.iter().rev() {
        let path = folder.join(child);
        match fs::remove_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DemoError::io("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Creates the file at `path`, readable and writable by its owner alone. Nothing may be there.
pub(super) fn create_private(path: &Path) -> Result<File, DemoError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(DemoError::io("create", path))
}

/// Creates the folder at `path`, open to its owner alone. Nothing may be there.
pub(super) fn create_private_folder(path: &Path) -> Result<(), DemoError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(DemoError::io("create", path))
}

/// Every path that making a sample creates, relative to its folder.
struct Layout {
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Layout {
    fn new() -> Self {
        let storage = Path::new(STORAGE);
        let mut files: BTreeSet<PathBuf> = series::plan()
            .iter()
            .map(|file| storage.join(&file.key))
            .collect();
        let fixed = [PARTIAL, PARTIAL_MARKER, CONFIG, DATABASE];
        files.extend(
            fixed
                .into_iter()
                .chain(DATABASE_COMPANIONS)
                .map(PathBuf::from),
        );
        let folders = files
            .iter()
            .flat_map(|file| file.ancestors().skip(1))
            .filter(|folder| !folder.as_os_str().is_empty())
            .map(Path::to_owned)
            .collect();
        Self { files, folders }
    }

    /// Returns a path under `root`/`within` that no sample has, or that is of another kind, links
    /// included.
    fn foreign(&self, root: &Path, within: &Path) -> Result<Option<PathBuf>, DemoError> {
        for name in names(&root.join(within))? {
            let (relative, path) = (within.join(&name), root.join(within).join(&name));
            let kind = fs::symlink_metadata(&path).map_err(DemoError::io("look at", &path))?;
            if kind.is_dir() && self.folders.contains(&relative) {
                if let Some(found) = self.foreign(root, &relative)? {
                    return Ok(Some(found));
                }
            } else if !(kind.is_file() && self.files.contains(&relative)) {
                return Ok(Some(relative));
            }
        }
        Ok(None)
    }
}

/// The names in a folder, in order, so that the same foreign name is always reported.
fn names(folder: &Path) -> Result<BTreeSet<PathBuf>, DemoError> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name().into())).collect())
        .map_err(DemoError::io("list", folder))
}

/// Removes a file; a missing one is not an error.
fn remove(path: &Path) -> Result<(), DemoError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DemoError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
