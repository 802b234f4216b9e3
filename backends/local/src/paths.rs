//! Names: of temporary files, of the parts of a key, and of the place for things set aside.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};

use arc_backup_core::{Digest, Key, OperationId};

const PREFIX: &str = ".arc-backup-";
const SUFFIX: &str = ".tmp";

/// Whether `name` is one that uploads write to before they are committed.
pub(crate) fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes())
}

/// A temporary name that nobody else has; a clash is left to `O_EXCL` to find.
pub(crate) fn random_name() -> String {
    // A `RandomState` is seeded by the operating system and differs with each one made.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{PREFIX}{:016x}{SUFFIX}", hasher.finish())
}

/// The temporary name that holds the file `name` in the stage `stage`: the same whenever both are.
pub(crate) fn staged_name(stage: &OperationId, name: &str) -> String {
    let digest = Digest::of(name.as_bytes()).to_string();
    format!("{PREFIX}{stage}-{}{SUFFIX}", &digest[..16])
}

/// The folder and the name of a key; the folder is empty for a key right in the root.
pub(crate) fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('/').unwrap_or(("", key))
}

/// A folder and what is above it, from the bottom to the top, without the root.
pub(crate) fn upwards(folder: &str) -> impl Iterator<Item = &str> {
    let first = (!folder.is_empty()).then_some(folder);
    std::iter::successors(first, |path| path.rsplit_once('/').map(|(above, _)| above))
}

/// A path relative to the root, from the bytes that the disk has, for people.
pub(crate) fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// The key of a path relative to the root, where it can be one.
pub(crate) fn key_of(path: &[u8]) -> Option<Key> {
    std::str::from_utf8(path)
        .ok()
        .and_then(|text| Key::parse(text).ok())
}

/// The folder beside `root` for things set aside: beside the real one where `root` is a symbolic
/// link, so that moving a file there is a rename on one file system.
pub(crate) fn aside_path(root: &Path) -> PathBuf {
    beside(root, ".before-restore")
}

/// What the names of the folders beside `root` begin with that hold snapshots; the operation's id
/// is behind it.
pub(crate) fn snapshot_prefix(root: &Path) -> PathBuf {
    beside(root, ".arc-backup-freeze-")
}

fn beside(root: &Path, suffix: &str) -> PathBuf {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let mut path = OsString::from(real);
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_are_known_again_and_differ() {
        let (a, b) = (random_name(), random_name());
        assert_ne!(a, b);
        assert!(is_temporary(a.as_bytes()), "{a}");
        assert_eq!(a.len(), ".arc-backup-0123456789abcdef.tmp".len());
        let stage = OperationId::parse("op-1").expect("valid");
        let staged = staged_name(&stage, "a.parquet");
        assert!(is_temporary(staged.as_bytes()), "{staged}");
        assert_eq!(staged, staged_name(&stage, "a.parquet"));
        assert_ne!(staged, staged_name(&stage, "b.parquet"));
    }

    #[test]
    fn upwards_ends_below_the_root() {
        assert_eq!(upwards("a/b/c").collect::<Vec<_>>(), ["a/b/c", "a/b", "a"]);
        assert_eq!(upwards("").count(), 0);
    }
}
