//! Checks for free space on local disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arc_backup_core::{Error as CoreError, ErrorKind};
use indicatif::HumanBytes;

use crate::operations::context::Context;
use crate::operations::disk::{Room, existing, taken};
use crate::{Error, Result};

/// Checks that local disk has space for all files that will be written. Needs on the same file
/// system are added up.
pub(crate) fn check_room(rooms: &[(PathBuf, u64)]) -> Result<()> {
    let mut by_device: BTreeMap<u64, (Room, u64)> = BTreeMap::new();
    for (path, bytes) in rooms {
        // Without a reported size, a full file system is an error of the write.
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
                "no room to restore at `{}`: {needed} bytes are needed and {free} are free",
                room.folder.display()
            )));
        }
    }
    Ok(())
}

/// Checks that a target on local disk has space for `files` files with `bytes` bytes in all, before
/// any of them is copied.
pub(crate) fn check_target(context: &Context, files: u64, bytes: u64) -> Result<()> {
    let ways = [
        "store the backup in",
        "back up to another target (--target)",
    ];
    check_room_of_target(context, files, bytes, ways)
}

/// The same for a copy of a backup.
pub(crate) fn check_copys_target(context: &Context, files: u64, bytes: u64) -> Result<()> {
    let ways = ["store the copy in", "copy to another target (--to)"];
    check_room_of_target(context, files, bytes, ways)
}

/// The same for a backup that is imported.
pub(crate) fn check_imports_target(context: &Context, files: u64, bytes: u64) -> Result<()> {
    let ways = [
        "store the backup in",
        "import it into another target (--target)",
    ];
    check_room_of_target(context, files, bytes, ways)
}

fn check_room_of_target(
    context: &Context,
    files: u64,
    bytes: u64,
    [action, way_out]: [&'static str; 2],
) -> Result<()> {
    let Some(root) = context.repository.target_sink().properties().local_path else {
        return Ok(());
    };
    // Some network shares report no size: there, a full disk is an error of the write.
    let Ok(Some(room)) = Room::at(&root) else {
        return Ok(());
    };
    let needed = taken(files, bytes);
    let lacks = if room.free_bytes < needed {
        format!(
            "need {} and {} are free",
            HumanBytes(needed),
            HumanBytes(room.free_bytes)
        )
    } else if room.free_files.is_some_and(|free| free < files) {
        format!(
            "are {files}, and only {} can be created there (inodes)",
            room.free_files.unwrap_or_default()
        )
    } else {
        return Ok(());
    };
    let detail = format!(
        "no room: the files to copy {lacks}. Nothing was copied. Remove leftovers (`arc-backup sweep --apply`), \
         delete old backups (`arc-backup delete ID`), free space, or {way_out}"
    );
    let error = CoreError::new(
        ErrorKind::NoSpace,
        action,
        root.display().to_string(),
        detail,
    );
    Err(error.at(context.repository.label()).into())
}
