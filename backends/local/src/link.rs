//! Second names of files inside the root: hard links.

use arc_backup_core::{Key, Meta};
use rustix::io::Errno;

use crate::error::{DiskFault, present};
use crate::folder::Folder;
use crate::paths::{random_name, split};
use crate::root::{OpenRoot, Root};

/// Makes `to` a second name of the file `from`, in place of what was there.
pub(crate) fn link(root: &Root, from: &str, to: Key) -> Result<Meta, DiskFault> {
    let root: OpenRoot = root.open()?;
    let (above, name) = split(from);
    let source = root.beneath(above)?;
    if source.file_status(name, from)?.is_none() {
        return Err(DiskFault::Absent);
    }
    let (to_above, to_name) = split(&to);
    let (target, mut new_folders) = root.ensure(to_above)?;
    target.check_replaceable(to_name, &to)?;
    let temporary = random_name();
    match source.link(name, &target, &temporary) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(DiskFault::Absent),
        Err(
            errno @ (Errno::XDEV
            | Errno::PERM
            | Errno::ACCESS
            | Errno::MLINK
            | Errno::NOTSUP
            | Errno::INVAL
            | Errno::NOSYS),
        ) => return Err(DiskFault::Unsupported(errno.to_string())),
        Err(errno) => return Err(errno.into()),
    }
    let finish = || -> Result<Meta, DiskFault> {
        target.rename(&temporary, &target, to_name)?;
        // A rename over another name of the same file does nothing, and leaves both.
        target.unlink(&temporary)?;
        let status = target.file_status(to_name, &to)?.ok_or(DiskFault::Absent)?;
        Ok(status.meta(to.clone()))
    };
    let done = finish();
    match &done {
        Ok(_) => new_folders.keep(),
        Err(_) => drop(target.unlink(&temporary)),
    }
    done
}

/// How many names each file has.
pub(crate) fn count_names(root: &Root, keys: &[Key]) -> Result<Vec<Option<u64>>, DiskFault> {
    let Some(root) = present(root.open())? else {
        return Ok(vec![None; keys.len()]);
    };
    // Keys come in order: most are in the folder of the one before.
    let mut opened: Option<(&str, Folder)> = None;
    let mut counts = Vec::with_capacity(keys.len());
    for key in keys {
        let (above, name) = split(key);
        let folder = match opened.take_if(|(path, _)| *path == above) {
            Some((_, folder)) => Some(folder),
            None => present(root.beneath(above))?,
        };
        let Some(folder) = folder else {
            counts.push(None);
            continue;
        };
        let status = folder.file_status(name, key)?;
        counts.push(status.and_then(|status| u64::try_from(status.names).ok()));
        opened = Some((above, folder));
    }
    Ok(counts)
}
