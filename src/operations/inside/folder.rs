//! A folder of a backup: what is in it, with the files and bytes of each folder below.

use arc_backup_core::{Digest, Key, Section};

use crate::Result;
use crate::manifest::{Inventory, Record};

/// A file or folder right in a folder of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderChild {
    /// Its path in the backup; that of a folder ends with `/`.
    pub path: String,
    /// How many files it is.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The SHA-256 of a file; `None` in a backup by Arc, and of a folder.
    pub sha256: Option<Digest>,
}

impl FolderChild {
    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.path.ends_with('/')
    }
}

/// What a folder of a backup holds in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FolderTotals {
    /// Its files, at any depth.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl FolderTotals {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// The files at `path`, or anywhere below it, in byte order; all of the backup without a path.
pub(super) fn files_at(
    inventory: &Inventory,
    path: Option<&Key>,
) -> Result<Box<dyn Iterator<Item = Result<Record>> + Send>> {
    let Some(path) = path.cloned() else {
        return Ok(Box::new(inventory.records()?));
    };
    let name = path.split('/').next().unwrap_or_default();
    let Ok(section) = Section::parse(name) else {
        return Ok(Box::new(std::iter::empty()));
    };
    // `0` is the byte behind `/`: no path from there on is in the folder.
    let end = format!("{path}0");
    let records = (inventory.records_of(&section)?)
        .take_while(move |record| (record.as_ref()).map_or(true, |one| *one.path < *end))
        .filter(move |record| (record.as_ref()).map_or(true, |one| one.path.is_within(&path)));
    Ok(Box::new(records))
}

/// Gives each file and folder right in `folder` to `take`, in byte order, and returns the totals of
/// all of them: one pass over the list, of which one line is in memory. A file counts as a folder
/// that holds itself.
pub(super) fn children(
    inventory: &Inventory,
    folder: Option<&Key>,
    mut take: impl FnMut(FolderChild) -> Result<()>,
) -> Result<FolderTotals> {
    let mut totals = FolderTotals::default();
    // Files of one folder follow each other.
    let mut open: Option<FolderChild> = None;
    let above = folder.map_or(0, |folder| folder.len() + 1);
    for record in files_at(inventory, folder)? {
        let record = record?;
        let bytes = record.entry.size;
        totals.add(bytes);
        if let Some(child) = &mut open
            && record.path.starts_with(&child.path)
        {
            child.files += 1;
            child.bytes += bytes;
            continue;
        }
        if let Some(done) = open.take() {
            take(done)?;
        }
        let below = record.path.get(above..).and_then(|rest| rest.find('/'));
        let child = FolderChild {
            path: match below {
                Some(length) => record.path[..=above + length].to_owned(),
                None => record.path.to_string(),
            },
            files: 1,
            bytes,
            sha256: record.entry.sha256.filter(|_| below.is_none()),
        };
        match child.is_folder() {
            true => open = Some(child),
            false => take(child)?,
        }
    }
    open.map_or(Ok(()), take)?;
    Ok(totals)
}
