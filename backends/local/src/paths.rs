//! Names: of temporary files, of the parts of a key, and of the place for things set aside.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};

use arc_backup_core::{Digest, Key};

use crate::error::Fault;

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

/// The temporary name that holds the file `name` in the stage `stage`: found again by whoever knows both.
pub(crate) fn staged_name(stage: &str, name: &str) -> Result<String, Fault> {
    check_word(stage, "stage")?;
    let digest = Digest::of(name.as_bytes()).to_string();
    Ok(format!("{PREFIX}{stage}-{}{SUFFIX}", &digest[..16]))
}

/// Checks that `word`, the name of a `thing`, is made of letters, digits and `-`.
pub(crate) fn check_word(word: &str, thing: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !word.is_empty() && word.len() <= 128 && word.chars().all(fits) {
        return Ok(());
    }
    Err(Fault::Invalid(format!(
        "`{word}` is no name of {thing}: letters, digits and `-` only"
    )))
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

/// The folder beside `root` for things set aside: beside the real one where `root` is a symbolic link, so that
/// moving a file there is a rename on one file system.
pub(crate) fn aside_path(root: &Path) -> PathBuf {
    beside(root, ".before-restore")
}

/// What the folders beside `root` begin with in which the operations pin files, each behind it with its own name.
pub(crate) fn pins_prefix(root: &Path) -> PathBuf {
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
        let staged = staged_name("op-1", "a.parquet").expect("a good stage");
        assert!(is_temporary(staged.as_bytes()), "{staged}");
        assert_eq!(staged, staged_name("op-1", "a.parquet").expect("same"));
        assert_ne!(staged, staged_name("op-1", "b.parquet").expect("good"));
        for bad in ["", "a/b", "..", "a b"] {
            assert!(staged_name(bad, "a").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn upwards_ends_below_the_root() {
        assert_eq!(upwards("a/b/c").collect::<Vec<_>>(), ["a/b/c", "a/b", "a"]);
        assert_eq!(upwards("").count(), 0);
    }
}
