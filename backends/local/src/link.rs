//! Second names of files inside the root: hard links.

use arc_backup_core::{Key, Meta};
use rustix::io::Errno;

use crate::error::{DiskFault, present};
use crate::folder::Folder;
use crate::paths::{random_name, split};
use crate::root::{OpenRoot, Root};
use crate::status::Kind;

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
    (source.link(name, &target, &temporary)).map_err(fault)?;
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

/// What a fault of the call means: whether the caller has to read and write.
fn fault(errno: Errno) -> DiskFault {
    match errno {
        Errno::XDEV
        | Errno::PERM
        | Errno::ACCESS
        | Errno::MLINK
        | Errno::NOTSUP
        | Errno::INVAL
        | Errno::NOSYS => DiskFault::Unsupported(errno.to_string()),
        errno => errno.into(),
    }
}

/// Makes each second key a second name of the file at the first. Where nothing is there yet, as in
/// the folder of a new backup, that is one call for each, with no temporary name.
pub(crate) fn link_all(root: &Root, links: &[(Key, Key)]) -> Vec<Result<Meta, DiskFault>> {
    let mut folders = Folders::default();
    let mut opened = root.open().ok();
    links
        .iter()
        .map(|(from, to)| {
            let made = match &mut opened {
                Some(root) => folders.link(root, from, to)?,
                None => None,
            };
            made.map_or_else(|| link(root, from, to.clone()), Ok)
        })
        .collect()
}

/// The folders of the last link: keys come in order, most of them in the folder of the one before.
#[derive(Default)]
struct Folders {
    from: Option<(String, Folder)>,
    to: Option<(String, Folder)>,
}

impl Folders {
    /// Makes a link; `None` where something is at `to` already.
    fn link(&mut self, root: &OpenRoot, from: &str, to: &Key) -> Result<Option<Meta>, DiskFault> {
        let ((from_above, from_name), (to_above, to_name)) = (split(from), split(to));
        if self.from.as_ref().is_none_or(|(at, _)| at != from_above) {
            self.from = Some((from_above.to_owned(), root.beneath(from_above)?));
        }
        if self.to.as_ref().is_none_or(|(at, _)| at != to_above) {
            let (folder, mut new_folders) = root.ensure(to_above)?;
            new_folders.keep();
            self.to = Some((to_above.to_owned(), folder));
        }
        let (Some((_, source)), Some((_, target))) = (&self.from, &self.to) else {
            return Ok(None);
        };
        match source.link(from_name, target, to_name) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(fault(errno)),
        }
        let status = target.status(to_name)?.ok_or(DiskFault::Absent)?;
        if status.kind != Kind::File {
            // A symbolic link has got a second name.
            target.unlink(to_name)?;
            return Err(DiskFault::Obstacle {
                path: from.to_owned(),
                what: status.kind.as_str(),
            });
        }
        Ok(Some(status.meta(to.clone())))
    }
}
