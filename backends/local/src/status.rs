//! What is known of a thing in a folder, without opening it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_backup_core::{FileId, Key, Meta, OtherKind};
use rustix::fs::{FileType, Mode, Stat};

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Symlink,
    Fifo,
    Socket,
    Device,
}

impl Kind {
    /// The kind of a directory entry; `None` where the file system does not say.
    pub(crate) fn from_type(kind: FileType) -> Option<Self> {
        match kind {
            FileType::RegularFile => Some(Self::File),
            FileType::Directory => Some(Self::Folder),
            FileType::Symlink => Some(Self::Symlink),
            FileType::Fifo => Some(Self::Fifo),
            FileType::Socket => Some(Self::Socket),
            FileType::CharacterDevice | FileType::BlockDevice => Some(Self::Device),
            FileType::Unknown => None,
        }
    }

    /// The kind in words.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Symlink => "a symbolic link",
            Self::Fifo => "a FIFO",
            Self::Socket => "a socket",
            Self::Device => "a device",
        }
    }

    /// How a listing names it; `None` for a regular file or a folder.
    pub(crate) fn other(self) -> Option<OtherKind> {
        match self {
            Self::File | Self::Folder => None,
            Self::Symlink => Some(OtherKind::Symlink),
            Self::Fifo | Self::Socket | Self::Device => Some(OtherKind::Special),
        }
    }
}

/// What `stat` gives, with the types of every platform brought to one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    /// The permission bits alone.
    pub(crate) mode: u32,
    /// Nanoseconds since the epoch.
    pub(crate) modified: i128,
    pub(crate) inode: i128,
    pub(crate) device: i128,
    /// How many names it has.
    pub(crate) names: i128,
    pub(crate) owner: Owner,
}

/// Whom a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl From<Stat> for Status {
    fn from(stat: Stat) -> Self {
        Self {
            // A type that has no name of its own is some kind of device.
            kind: Kind::from_type(FileType::from_raw_mode(stat.st_mode)).unwrap_or(Kind::Device),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mode: wide(Mode::from_raw_mode(stat.st_mode).bits()) & 0o7777,
            modified: i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec),
            inode: i128::from(stat.st_ino),
            device: i128::from(stat.st_dev),
            names: i128::from(stat.st_nlink),
            owner: Owner {
                user: stat.st_uid,
                group: stat.st_gid,
            },
        }
    }
}

/// A mode is 16 bits wide on some platforms, 32 on others.
fn wide(bits: impl Into<u32>) -> u32 {
    bits.into()
}

impl Status {
    /// Whether both are of the same file.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// The entity tag: inode, size and time of modification.
    ///
    /// The time of status change is omitted: making a hard link of a file, as a backup does to
    /// hold on to it, changes that time and no byte.
    pub(crate) fn etag(&self) -> String {
        format!("{:x}-{:x}-{:x}", self.inode, self.size, self.modified)
    }

    /// The time of modification; `None` where it is out of the range of a [`SystemTime`].
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        let distance = self.modified.unsigned_abs();
        let seconds = u64::try_from(distance / 1_000_000_000).ok()?;
        let nanoseconds = u32::try_from(distance % 1_000_000_000).ok()?;
        let distance = Duration::new(seconds, nanoseconds);
        if self.modified < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        }
    }

    /// The device and inode; `None` where a platform has them negative.
    fn file_id(&self) -> Option<FileId> {
        Some(FileId {
            device: u64::try_from(self.device).ok()?,
            inode: u64::try_from(self.inode).ok()?,
        })
    }

    /// What is known of the object `key`, whose status this is.
    pub(crate) fn meta(&self, key: Key) -> Meta {
        Meta {
            key,
            size: self.size,
            modified: self.modified(),
            mode: Some(self.mode),
            etag: Some(self.etag()),
            archived: false,
            file_id: self.file_id(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_epoch_is_a_time_too() {
        let stat = rustix::fs::stat("/").expect("the root is there");
        let status = Status {
            modified: -1,
            ..Status::from(stat)
        };
        assert_eq!(
            status.modified(),
            UNIX_EPOCH.checked_sub(Duration::from_nanos(1))
        );
    }
}
