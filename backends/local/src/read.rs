//! Reading: what is known of a file, and its bytes.

use std::io::{Seek as _, SeekFrom};

use arc_backup_core::{Body, Error, ErrorKind, GetOptions, Key, Meta, Object, Result};

use crate::error::{DiskFault, blocking, present};
use crate::paths::{is_temporary, split};
use crate::root::Root;

/// Opens the object `key` of a folder, on a thread made for waiting.
pub(crate) async fn open(root: &Root, key: &Key, options: GetOptions) -> Result<Object> {
    let (root, at) = (root.clone(), key.clone());
    let object = blocking("read", key, move || get(&root, at, options)).await?;
    object.ok_or_else(|| {
        Error::new(
            ErrorKind::Changed,
            "read",
            key.as_str(),
            "it has changed since it was listed",
        )
    })
}

/// What is known of `key`.
pub(crate) fn head(root: &Root, key: Key) -> Result<Option<Meta>, DiskFault> {
    let (above, name) = split(&key);
    if is_temporary(name.as_bytes()) {
        return Ok(None);
    }
    let Some(folder) = present(root.open().and_then(|root| root.beneath(above)))? else {
        return Ok(None);
    };
    let status = folder.file_status(name, &key)?;
    Ok(status.map(|status| status.meta(key)))
}

/// Opens `key`; `None` when it is not the object that was asked for.
fn get(root: &Root, key: Key, options: GetOptions) -> Result<Option<Object>, DiskFault> {
    let (above, name) = split(&key);
    let folder = present(root.open().and_then(|root| root.beneath(above)))?;
    let (Some(folder), false) = (folder, is_temporary(name.as_bytes())) else {
        return Err(DiskFault::Absent);
    };
    let (mut file, status) = folder.open_file(name, &key)?;
    let meta = status.meta(key);
    if options.if_match.is_some() && options.if_match != meta.etag {
        return Ok(None);
    }
    let range = options.range.unwrap_or(0..meta.size);
    let start = range.start.min(meta.size);
    let len = range.end.min(meta.size).saturating_sub(start);
    if start > 0 {
        file.seek(SeekFrom::Start(start))?;
    }
    Ok(Some(Object {
        meta,
        body: Body::File { file, len },
    }))
}
