//! Room on local disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arc_backup_core::{Error as CoreError, ErrorKind};
use indicatif::HumanBytes;

use crate::operations::context::Context;
use crate::operations::disk::{Room, existing, taken};
use crate::{Error, Result};

/// Whether local disk has room for what will be written, before anything is. What goes to one file system is added up.
pub(crate) fn check_room(rooms: &[(PathBuf, u64)]) -> Result<()> {
    let mut by_device: BTreeMap<u64, (Room, u64)> = BTreeMap::new();
    for (path, bytes) in rooms {
        // A file system that does not tell its room says so when it is full.
        let Some(room) = Room::at(path).map_err(|e| Error::io("look at", existing(path), e))?
        else {
            continue;
        };
        let needed = &mut by_device.entry(room.device).or_insert((room, 0)).1;
        *needed = needed.saturating_add(*bytes);
    }
    for (room, needed) in by_device.into_values() {
        let free = room.free_bytes;
        if free < needed {
            return Err(Error::Failed(format!(
                "no room to restore at `{}`: it needs {needed} bytes and {free} are free",
                room.folder.display()
            )));
        }
    }
    Ok(())
}

/// Whether a target on local disk has room for so many files and bytes of a backup, before any of
/// them is copied.
pub(crate) fn check_target(context: &Context, files: u64, bytes: u64) -> Result<()> {
    let Some(root) = context.repository.target_sink().properties().local_path else {
        return Ok(());
    };
    // Who can't say how much room there is, as on some network shares, says so when it is full.
    let Ok(Some(room)) = Room::at(&root) else {
        return Ok(());
    };
    let needed = taken(files, bytes);
    let lacks = if room.free_bytes < needed {
        format!(
            "needs {} and {} are free",
            HumanBytes(needed),
            HumanBytes(room.free_bytes)
        )
    } else if room.free_files.is_some_and(|free| free < files) {
        format!(
            "has {files} files and no more than {} can be made there (inodes)",
            room.free_files.unwrap_or_default()
        )
    } else {
        return Ok(());
    };
    let detail = format!(
        "no room: what is still to be copied {lacks}, and so nothing is. Remove what interrupted operations left (`arc-backup \
         sweep --apply`), delete old backups (`arc-backup delete ID`), add room, or back up to another target (--target)"
    );
    let error = CoreError::new(
        ErrorKind::NoSpace,
        "store the backup in",
        root.display().to_string(),
        detail,
    );
    Err(error.at(context.repository.label()).into())
}
