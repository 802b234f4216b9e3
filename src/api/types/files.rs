//! The files of a backup.

use poem_openapi::Object;

use crate::manifest::Record;
use crate::operations::FolderChild;

/// A file of a backup.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct FileBody {
    /// Its path in the backup.
    pub(crate) path: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its SHA-256; absent in a backup that Arc made.
    pub(crate) sha256: Option<String>,
}

impl From<Record> for FileBody {
    fn from(record: Record) -> Self {
        Self {
            path: record.path.to_string(),
            size: record.entry.size,
            sha256: record.entry.sha256.map(|digest| digest.to_string()),
        }
    }
}

/// A folder of a backup.
#[derive(Debug, Object)]
pub(crate) struct FolderBody {
    /// Its path in the backup, with `/` at its end.
    pub(crate) path: String,
    /// Its files, at any depth.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// A page of a backup's files.
#[derive(Debug, Default, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct FilesBody {
    /// The files, in byte order of their paths.
    pub(crate) files: Vec<FileBody>,
    /// The folders right in `path`, in byte order; absent from a list of all files below it.
    pub(crate) folders: Option<Vec<FolderBody>>,
    /// How many files and folders are on this page.
    pub(crate) count: u64,
    /// The files in `path`, at any depth and on any page; absent where `folders` are.
    pub(crate) total_files: Option<u64>,
    /// Their bytes.
    pub(crate) total_bytes: Option<u64>,
    /// The `start_after` of the next page; absent on the last.
    pub(crate) next: Option<String>,
}

impl FilesBody {
    /// Adds a file or folder right in the folder.
    pub(crate) fn add(&mut self, child: FolderChild) {
        self.count += 1;
        match child.is_folder() {
            true => self.folders.get_or_insert_default().push(FolderBody {
                path: child.path,
                files: child.files,
                bytes: child.bytes,
            }),
            false => self.files.push(FileBody {
                path: child.path,
                size: child.bytes,
                sha256: child.sha256.map(|digest| digest.to_string()),
            }),
        }
    }
}
