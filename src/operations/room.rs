//! Room on local disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Whether local disk has room for what will be written, before anything is. What goes to one file system is added up.
pub(super) fn check_room(rooms: &[(PathBuf, u64)]) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let mut by_device: BTreeMap<u64, (&Path, u64)> = BTreeMap::new();
    for (path, bytes) in rooms {
        let existing = path.ancestors().find(|path| path.exists());
        let existing = existing.filter(|path| !path.as_os_str().is_empty());
        let existing = existing.unwrap_or(Path::new("."));
        let device = std::fs::metadata(existing)
            .map_err(|e| Error::io("look at", existing, e))?
            .dev();
        let needed = &mut by_device.entry(device).or_insert((existing, 0)).1;
        *needed = needed.saturating_add(*bytes);
    }
    for (path, needed) in by_device.into_values() {
        let room = match rustix::fs::statvfs(path) {
            // A file system that does not tell its room says so when it is full.
            Err(error) if crate::private::is_lacking(&error.into()) => continue,
            room => room.map_err(|e| Error::io("look at", path, e.into()))?,
        };
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if free < needed {
            return Err(Error::Failed(format!(
                "no room to restore at `{}`: it needs {needed} bytes and {free} are free",
                path.display()
            )));
        }
    }
    Ok(())
}
