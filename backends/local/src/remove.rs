//! Removing: objects, whole folders, files of unfinished uploads, and folders that became empty.

use std::collections::BTreeSet;
use std::path::Path;

use arc_backup_core::{Activity, Discard, Discarded, Key};
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use crate::error::{DiskFault, present};
use crate::folder::Folder;
use crate::paths::{aside_path, is_temporary, lossy, split, upwards};
use crate::root::{OpenRoot, Root};
use crate::status::Kind;

/// Deletes the objects, and the folders that this leaves empty. Ends at the first fault.
pub(crate) fn delete(root: &Root, keys: &[Key]) -> Result<(), (Key, DiskFault)> {
    let Some(first) = keys.first() else {
        return Ok(());
    };
    let named = |key: &Key| {
        let key = key.clone();
        move |fault| (key, fault)
    };
    let Some(root) = present(root.open()).map_err(named(first))? else {
        return Ok(());
    };
    let mut parents = BTreeSet::new();
    let result = keys.iter().try_for_each(|key| {
        let (above, name) = split(key);
        // The folder is opened for each key: a handle held over many would be the wrong one when
        // the folder is made again in between.
        let Some(folder) = present(root.beneath(above)).map_err(named(key))? else {
            return Ok(());
        };
        let remove = || {
            if folder.file_status(name, key)?.is_some() {
                folder.unlink(name)?;
            }
            Ok(())
        };
        remove().map_err(named(key))?;
        parents.insert(above);
        Ok(())
    });
    // From the bottom to the top, so that a folder of nothing but emptied folders goes too.
    for folder in parents.iter().rev() {
        prune(&root, folder);
    }
    result
}

/// Removes `folder` and those above it as far as they are empty, but never the root. What can't be
/// removed stays: an empty folder is no loss.
pub(crate) fn prune(root: &OpenRoot, folder: &str) {
    for path in upwards(folder) {
        match root.folder.remove_folder_beneath(path) {
            Ok(_) | Err(DiskFault::Absent) => {}
            Err(_) => return,
        }
    }
}

/// Removes `path` and everything in it, whatever it is.
pub(crate) fn remove_tree(root: &Root, path: &str, activity: &Activity) -> Result<(), DiskFault> {
    let Some(root) = present(root.open())? else {
        return Ok(());
    };
    let (above, name) = split(path);
    let Some(folder) = present(root.beneath(above))? else {
        return Ok(());
    };
    remove_any(&folder, name.as_bytes(), path.as_bytes(), activity)?;
    prune(&root, above);
    Ok(())
}

/// Renames the folder `from` to `to`, where nothing may be.
pub(crate) fn move_tree(root: &Root, from: &str, to: &str) -> Result<(), DiskFault> {
    let Some(root) = present(root.open())? else {
        return Ok(());
    };
    let (above, name) = split(from);
    let Some(source) = present(root.beneath(above))? else {
        return Ok(());
    };
    if source.status(name)?.is_none() {
        return Ok(());
    }
    let (to_above, to_name) = split(to);
    let (target, mut new_folders) = root.ensure(to_above)?;
    // Over an empty folder a rename is done; over one with something in it, refused.
    source.rename(name, &target, to_name)?;
    new_folders.keep();
    target.sync()?;
    source.sync()?;
    prune(&root, above);
    Ok(())
}

/// Removes `name` in `folder`; `path` is its path, for people.
fn remove_any(
    folder: &Folder,
    name: &[u8],
    path: &[u8],
    activity: &Activity,
) -> Result<(), DiskFault> {
    activity.note();
    let named = |errno: Errno| DiskFault::from(errno).at(lossy(path));
    // Somebody may still be writing there: go over it again, but not for ever.
    for _ in 0..10 {
        let Some(status) = folder.status(name).map_err(named)? else {
            return Ok(());
        };
        if status.kind != Kind::Folder {
            match folder.unlink(name) {
                Ok(_) => return Ok(()),
                // It has become a folder.
                Err(Errno::ISDIR | Errno::PERM) if is_folder(folder, name) => continue,
                Err(errno) => return Err(named(errno)),
            }
        }
        match open_for_removal(folder, name) {
            Ok(below) => {
                for child in below.kinds().map_err(named)? {
                    let (child, _) = child.map_err(named)?;
                    remove_any(&below, &child, &joined(path, &child), activity)?;
                }
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => continue,
            Err(errno) => return Err(named(errno)),
        }
        match folder.remove_folder(name) {
            Ok(_) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            Err(errno) => return Err(named(errno)),
        }
    }
    Err(named(Errno::NOTEMPTY))
}

fn is_folder(folder: &Folder, name: &[u8]) -> bool {
    matches!(folder.status(name), Ok(Some(status)) if status.kind == Kind::Folder)
}

/// Opens a folder that is to be emptied, and gives its owner the rights for that where they are
/// missing.
fn open_for_removal(folder: &Folder, name: &[u8]) -> Result<Folder, Errno> {
    let opened = match folder.child(name) {
        Err(Errno::ACCESS) if is_folder(folder, name) => {
            // There is no way to do this without naming it again; at worst, a link put there this
            // moment has the mode of what it points to widened for that one's owner.
            let _ = rustix::fs::chmodat(folder, name, Mode::RWXU, AtFlags::empty());
            folder.child(name)?
        }
        other => other?,
    };
    if opened.own_status()?.mode & 0o700 != 0o700 {
        // Where this is refused, removing what is in the folder says so.
        let _ = rustix::fs::fchmod(&opened, Mode::RWXU);
    }
    Ok(opened)
}

/// In the root of a volume, what `fsck` found: open to nobody but the superuser, and never ours.
const OF_FILE_SYSTEM: &[u8] = b"lost+found";

/// Removes the temporary files below `path`, and the folders that this leaves empty; or counts
/// those files.
pub(crate) fn discard_unfinished(
    root: &Root,
    path: &str,
    discard: Discard,
) -> Result<Discarded, DiskFault> {
    if path.is_empty() && discard == Discard::Remove {
        remove_empty(&aside_path(root.path()));
    }
    let Some(root) = present(root.open())? else {
        return Ok(Discarded::default());
    };
    let Some(folder) = present(root.beneath(path))? else {
        return Ok(Discarded::default());
    };
    let discarded = discard_in(&folder, path.as_bytes(), discard)?;
    if discarded.count > 0 && discard == Discard::Remove {
        prune(&root, path);
    }
    Ok(discarded)
}

/// Removes the places for things set aside in which an operation that was interrupted has put
/// nothing.
fn remove_empty(place: &Path) {
    let areas = std::fs::read_dir(place).into_iter().flatten().flatten();
    for path in areas.map(|area| area.path()).chain([place.to_owned()]) {
        // One with something in it refuses.
        let _ = std::fs::remove_dir(path);
    }
}

fn discard_in(folder: &Folder, path: &[u8], discard: Discard) -> Result<Discarded, Errno> {
    let named = |path: &[u8]| {
        let path = lossy(path);
        move |errno: Errno| DiskFault::from(errno).about("clean up", &path)
    };
    let mut discarded = Discarded::default();
    for item in folder.kinds()? {
        let (name, kind) = match item {
            Ok(item) => item,
            Err(errno) => {
                discarded.add(Err(named(path)(errno)));
                continue;
            }
        };
        let below = joined(path, &name);
        match kind {
            Kind::File if is_temporary(&name) => {
                let removed = match discard {
                    Discard::Count => Ok(true),
                    Discard::Remove => folder.unlink(&name),
                };
                let removed = removed.map(|was_there| Discarded::of(u64::from(was_there)));
                discarded.add(removed.map_err(named(&below)));
            }
            Kind::Folder if path.is_empty() && name == OF_FILE_SYSTEM => {}
            Kind::Folder => {
                let opened = folder.child(&name);
                let found = match opened.and_then(|opened| discard_in(&opened, &below, discard)) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => continue,
                    found => found,
                };
                if discard == Discard::Remove && found.as_ref().is_ok_and(|found| found.count > 0) {
                    // Only what this has emptied; a folder with something else in it refuses.
                    let _ = folder.remove_folder(&name);
                }
                discarded.add(found.map_err(named(&below)));
            }
            _ => {}
        }
    }
    Ok(discarded)
}

/// The path of `name` in the folder `path`.
fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    match path {
        b"" => name.to_owned(),
        path => [path, b"/", name].concat(),
    }
}
