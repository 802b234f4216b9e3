//! The files of a backup.

use poem_openapi::Object;

/// A file of a backup.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct FileBody {
    /// Its path in the backup.
    pub(in crate::api) path: String,
    /// Its size in bytes.
    pub(in crate::api) size: u64,
    /// Its SHA-256; absent in a backup that Arc made.
    pub(in crate::api) sha256: Option<String>,
}

/// A page of a backup's files.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct FilesBody {
    /// The files, in byte order of their paths.
    pub(in crate::api) files: Vec<FileBody>,
    /// How many are on this page.
    pub(in crate::api) count: u64,
    /// The `start_after` of the next page; absent on the last.
    pub(in crate::api) next: Option<String>,
}
