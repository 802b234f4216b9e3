//! Replacing a file by another one, also where none can be renamed over it: a single file that is
//! mounted into a container, a file in a folder that can't be written.
//!
//! [`check`] finds out, before anything changes, that a file can't be replaced at all.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind as IoKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use arc_backup_core::{Error, ErrorKind, Result};

use crate::files::{self, file_error, folder_of, sync_folder};

/// How a file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacement {
    /// The new file is renamed over it: at no moment is there half a file.
    Rename,
    /// The new bytes are written into the file that is there.
    InPlace,
}

/// Where the file `path` really is: a link is the operator's, and stays one.
pub(crate) fn real_place(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(|e| file_error("find", path, e))?;
    let is_link = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_symlink());
    if !is_link {
        return Ok(path);
    }
    path.canonicalize().map_err(|error| match error.kind() {
        IoKind::NotFound => refused(
            &path,
            "it is a symbolic link to nowhere: remove it, or make the file that it names",
        ),
        _ => file_error("find", &path, error),
    })
}

/// Whether the file `real`, which the link `path` leads to, lies in another folder.
pub(super) fn is_elsewhere(real: &Path, path: &Path) -> bool {
    folder_of(path).canonicalize().ok().as_deref() != Some(folder_of(real))
}

fn refused(path: &Path, detail: impl Into<String>) -> Error {
    let subject = path.display().to_string();
    Error::new(ErrorKind::Invalid, "replace", subject, detail)
}

/// How the file at `path`, which is not a link, can be replaced. Changes nothing; an error says why
/// it can't be done at all.
pub(super) fn check(path: &Path) -> Result<Replacement> {
    let meta = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == IoKind::NotFound => None,
        found => Some(found.map_err(|e| file_error("look at", path, e))?),
    };
    if meta.as_ref().is_some_and(|meta| !meta.is_file()) {
        let what = match meta.is_some_and(|meta| meta.is_dir()) {
            true => "a folder",
            false => "not a regular file",
        };
        return Err(refused(path, format!("it is {what}: move it away")));
    }
    let replaced = match &meta {
        Some(meta) => check_replaceable(path, meta),
        None => Ok(()),
    };
    let Err(reason) = replaced.and_then(|()| try_folder(path)) else {
        return Ok(Replacement::Rename);
    };
    if meta.is_none() {
        return Err(file_error("create", path, reason));
    }
    match File::options().write(true).open(path) {
        Ok(_) => Ok(Replacement::InPlace),
        Err(error) => {
            let detail = match reason.to_string() == error.to_string() {
                true => format!("it can't be written: {error}"),
                false => format!(
                    "nothing can be renamed over it ({reason}), and it can't be written in its place ({error})"
                ),
            };
            let subject = path.display().to_string();
            Err(Error::new(
                ErrorKind::PermissionDenied,
                "replace",
                subject,
                detail,
            ))
        }
    }
}

/// Whether a file can be renamed over the one at `path`, as far as can be known without writing.
pub(super) fn may_be_renamed_over(path: &Path) -> bool {
    let access = rustix::fs::access(folder_of(path), rustix::fs::Access::WRITE_OK);
    let meta = std::fs::symlink_metadata(path);
    access.is_ok() && meta.is_ok_and(|meta| check_replaceable(path, &meta).is_ok())
}

/// Whether the kernel would let the file be replaced, as far as can be known without doing so.
fn check_replaceable(path: &Path, meta: &std::fs::Metadata) -> io::Result<()> {
    if files::is_mount_point(path) {
        return Err(io::Error::new(
            IoKind::ResourceBusy,
            "it is mounted as a single file",
        ));
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
        let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::empty());
        if found.is_ok_and(|found| found.stx_attributes.intersects(fixed)) {
            return Err(io::Error::new(
                IoKind::PermissionDenied,
                "it is immutable (`lsattr`)",
            ));
        }
    }
    let user = rustix::process::geteuid();
    let folder = std::fs::metadata(folder_of(path))?;
    let is_sticky = folder.mode() & 0o1000 != 0;
    if is_sticky && !user.is_root() && ![meta.uid(), folder.uid()].contains(&user.as_raw()) {
        let text = "another user owns it, in a folder with the sticky bit";
        return Err(io::Error::new(IoKind::PermissionDenied, text));
    }
    Ok(())
}

/// Whether what is at `path` can be renamed. Tries the folder.
pub(super) fn check_movable(path: &Path) -> io::Result<()> {
    let meta = std::fs::symlink_metadata(path)?;
    check_replaceable(path, &meta)?;
    try_folder(path)
}

/// The files that [`try_folder`] makes. Their names do not depend on the operation: the next one
/// removes those of one that was killed.
pub(super) fn probes(path: &Path) -> [PathBuf; 2] {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["a", "b"].map(|probe| folder_of(path).join(format!(".arc-backup-probe-{name}-{probe}.tmp")))
}

/// Tries to make a file beside `path` and to rename another one over it; removes both.
fn try_folder(path: &Path) -> io::Result<()> {
    let probes = probes(path);
    let remove = || {
        for probe in &probes {
            let _ = std::fs::remove_file(probe);
        }
    };
    // Never through a link that somebody has put there.
    let create = |probe: &Path| File::create_new(probe).map(drop);
    remove();
    let [one, other] = &probes;
    let tried = create(one)
        .and_then(|()| create(other))
        .and_then(|()| std::fs::rename(one, other));
    remove();
    tried
}

/// Mode and time of a file. Each is set where the file system supports it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes {
    pub(super) mode: Option<u32>,
    pub(super) modified: Option<SystemTime>,
}

impl Attributes {
    fn give(self, file: &File, path: &Path) {
        let mode = self.mode.map_or(Ok(()), |mode| {
            file.set_permissions(Permissions::from_mode(mode & 0o777))
        });
        let modified = (self.modified).map_or(Ok(()), |time| file.set_modified(time));
        for error in [mode, modified].into_iter().filter_map(io::Result::err) {
            tracing::warn!(%error, path = %path.display(), "cannot set its mode or time to those of the backup");
        }
    }
}

/// Replaces the file at `path`, whose bytes are kept already, by the file `staged`, which is gone
/// afterwards.
pub(super) fn replace(
    staged: &Path,
    path: &Path,
    how: Replacement,
    attributes: Attributes,
) -> Result<()> {
    if how == Replacement::Rename {
        let like = match path.exists() {
            true => path,
            false => folder_of(path),
        };
        files::give_if_possible(like, staged);
        match File::options().write(true).open(staged) {
            Ok(file) => attributes.give(&file, path),
            Err(error) => return Err(file_error("write", staged, error)),
        }
        match std::fs::rename(staged, path) {
            Ok(()) => return sync_folder(path),
            Err(error) if path.is_file() => {
                tracing::warn!(%error, path = %path.display(), "it can't be renamed over: its bytes are written in its place");
            }
            Err(error) => return Err(file_error("write", path, error)),
        }
    }
    write_over(staged, path, attributes).map_err(|e| file_error("write", path, e))?;
    // Should it stay, a sweep removes it.
    let _ = std::fs::remove_file(staged);
    Ok(())
}

/// Writes the bytes of `from` over those of `path`, and cuts off the rest of the old ones only
/// then: a file of a few KiB is old or new at each moment.
fn write_over(from: &Path, path: &Path, attributes: Attributes) -> io::Result<()> {
    let mut source = File::open(from)?;
    let file = File::options().write(true).open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let count = io::Read::read(&mut source, &mut buffer)?;
        if count == 0 {
            break;
        }
        file.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
    file.set_len(at)?;
    attributes.give(&file, path);
    files::sync_file(&file)
}

/// Copies the file `path` to the new file `kept`, with its mode and owner where these can be had.
/// Not a second name of the same file, which would change with it.
pub(super) fn keep_bytes(path: &Path, kept: &Path) -> Result<()> {
    // Under its name it is whole: an undo goes by that.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = kept.with_file_name(format!(".arc-backup-kept-{name}.tmp"));
    let copy = || -> io::Result<()> {
        let mut source = File::open(path)?;
        let meta = source.metadata()?;
        let mut copy = files::create_file(&part)?;
        io::copy(&mut source, &mut copy)?;
        let attributes = Attributes {
            mode: Some(meta.mode()),
            modified: meta.modified().ok(),
        };
        files::give_if_possible(path, &part);
        attributes.give(&copy, kept);
        files::sync_file(&copy)?;
        std::fs::rename(&part, kept)
    };
    copy().map_err(|e| file_error("keep", kept, e))?;
    sync_folder(kept)
}

/// Moves what is at `path` to `kept`. A file that can't be renamed is copied there, and stays.
pub(super) fn move_away(path: &Path, kept: &Path) -> Result<()> {
    match std::fs::rename(path, kept) {
        Ok(()) => Ok(()),
        Err(_) if path.is_file() => keep_bytes(path, kept),
        Err(error) => Err(file_error("keep", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a restore that finds out half-way what is in its place.
    #[test]
    fn what_can_not_be_replaced_is_refused_and_nothing_is_left() {
        let top = tempfile::tempdir().expect("a folder");
        let at = |name: &str| top.path().join(name);
        std::fs::create_dir(at("folder")).expect("made");
        std::os::unix::fs::symlink("nowhere", at("link")).expect("linked");
        std::os::unix::net::UnixListener::bind(at("socket")).expect("bound");
        std::fs::write(at("file"), "x").expect("written");
        for (name, text) in [
            ("folder", "a folder"),
            ("socket", "not a regular file"),
            ("missing/file", "no such file"),
        ] {
            let error = check(&at(name)).expect_err(name).to_string();
            assert!(error.contains(text) && error.contains(name), "{error}");
        }
        let error = real_place(&at("link")).expect_err("a dangling link");
        assert!(error.to_string().contains("link to nowhere"), "{error}");
        for name in ["file", "new"] {
            // As one that was killed has left them.
            for probe in probes(&at(name)) {
                std::fs::write(probe, "").expect("written");
            }
            assert_eq!(check(&at(name)).expect(name), Replacement::Rename);
        }
        let left = std::fs::read_dir(top.path()).expect("listed").count();
        assert_eq!(left, 4);
    }

    /// Guards against: the end of the old bytes behind a shorter file that is written over them; a
    /// kept copy that changes with the file.
    #[test]
    fn what_is_written_over_is_whole_and_what_is_kept_stays() {
        let top = tempfile::tempdir().expect("a folder");
        let at = |name: &str| top.path().join(name);
        for (old, new) in [("long and old", "new"), ("old", "long and new")] {
            std::fs::write(at("file"), old).expect("written");
            std::fs::write(at("staged"), new).expect("written");
            keep_bytes(&at("file"), &at("kept")).expect("kept");
            let attributes = Attributes {
                mode: Some(0o640),
                modified: None,
            };
            replace(&at("staged"), &at("file"), Replacement::InPlace, attributes)
                .expect("replaced");
            let read = |name: &str| std::fs::read_to_string(at(name)).expect("read");
            assert_eq!((read("file").as_str(), read("kept").as_str()), (new, old));
            let mode = std::fs::metadata(at("file")).expect("there").mode();
            assert_eq!(mode & 0o7777, 0o640);
            assert!(!at("staged").exists());
        }
    }
}
