//! Second names of files inside the root: hard links.

use arc_backup_core::{Key, Meta};
use rustix::io::Errno;

use crate::error::DiskFault;
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
