//! Files that a delete-by-query has rewritten: `{name}_rewrite_{nanoseconds}.parquet`, since Arc
//! 27.01.
//!
//! Arc writes the new file, then removes the old one. Both have the rows that stay. Where both are
//! listed the deletion is under way, or was interrupted; a backup must have one of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use arc_backup_core::Key;

use super::compaction::unit_of;
use super::decide::Files;

const MARK: &str = "_rewrite_";
/// The least digits of a time in nanoseconds, to distinguish it from a number of another kind.
const LEAST_DIGITS: usize = 16;

/// The name that all versions of a file have in common, and the time of this version; `None` for
/// the first one.
fn version_of(key: &str) -> Option<(&str, Option<u64>)> {
    let mut stem = key.strip_suffix(".parquet")?;
    let mut last = None;
    while let Some((before, digits)) = stem.rsplit_once(MARK) {
        let is_time = digits.len() >= LEAST_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        let Some(time) = digits.parse().ok().filter(|_| is_time) else {
            break;
        };
        last = last.or(Some(time));
        stem = before;
    }
    // Only Arc's data files are rewritten: they lie in a day folder or below.
    is_day(unit_of(key)).then_some((stem, last))
}

/// Whether a folder is that of a day: `…/YYYY/MM/DD`.
fn is_day(folder: &str) -> bool {
    let mut segments = folder.rsplit('/');
    [2, 2, 4].into_iter().all(|digits| {
        segments.next().is_some_and(|segment| {
            segment.len() == digits && segment.bytes().all(|b| b.is_ascii_digit())
        })
    })
}

/// The versions of files that are there beside an older version: a backup has the older one, as if
/// the deletion had not begun. No row that should stay is lost then.
pub(super) fn newer_versions(files: &Files) -> Vec<Key> {
    let mut oldest = HashMap::new();
    for key in files.keys() {
        if let Some((name, time)) = version_of(key) {
            let least = oldest.entry(name).or_insert(time);
            *least = time.min(*least);
        }
    }
    (files.keys())
        .filter(|key| {
            version_of(key).is_some_and(|(name, time)| oldest.get(name).is_some_and(|o| *o < time))
        })
        .cloned()
        .collect()
}

/// The same of a list that is too long to be held: its rewritten files are noted, then the first
/// versions of these.
#[derive(Default)]
pub(crate) struct RewrittenFiles {
    by_name: HashMap<String, Vec<(u64, String)>>,
    /// The names of those whose first version is there too.
    with_first: HashSet<String>,
}

impl RewrittenFiles {
    /// Notes a file that was rewritten.
    pub(crate) fn add(&mut self, key: &str) {
        if let Some((name, Some(time))) = version_of(key) {
            let versions = self.by_name.entry(name.to_owned()).or_default();
            versions.push((time, key.to_owned()));
        }
    }

    /// Whether none was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Notes the first version of a file that was rewritten.
    pub(crate) fn add_first(&mut self, key: &str) {
        if let Some((name, None)) = version_of(key)
            && self.by_name.contains_key(name)
        {
            self.with_first.insert(name.to_owned());
        }
    }

    /// The versions beside an older one, as [`newer_versions`] has them.
    pub(crate) fn newer(self) -> BTreeSet<String> {
        let mut newer = BTreeSet::new();
        for (name, versions) in self.by_name {
            let oldest = match self.with_first.contains(&name) {
                true => None,
                false => versions.iter().map(|(time, _)| *time).min(),
            };
            let later = (versions.into_iter()).filter(|(time, _)| Some(*time) > oldest);
            newer.extend(later.map(|(_, key)| key));
        }
        newer
    }
}

/// Finds two versions of a file in a listing, whose keys come in order.
#[derive(Default)]
pub(super) struct Versions {
    folder: String,
    /// Hashes of the names seen in the folder. Two names of one hash only cost another look.
    seen: HashSet<u64>,
}

impl Versions {
    /// Notes a key; returns whether another version of the same file was noted.
    pub(super) fn has_other(&mut self, key: &str) -> bool {
        let Some((name, _)) = version_of(key) else {
            return false;
        };
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        if self.folder != folder {
            folder.clone_into(&mut self.folder);
            self.seen.clear();
        }
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        !self.seen.insert(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arc_backup_core::Meta;

    fn newer(names: &[&str]) -> Vec<String> {
        let files = names.iter().map(|name| {
            let key = Key::parse(&format!("iot/cpu/2026/11/20/00/{name}.parquet")).expect("a key");
            let meta = Meta {
                key: key.clone(),
                size: 1,
                modified: None,
                mode: None,
                etag: None,
                archived: false,
                file_id: None,
            };
            (key, meta)
        });
        let mut versions = Versions::default();
        let files: Files = files.collect();
        let any = files.keys().filter(|key| versions.has_other(key)).count();
        let found = newer_versions(&files);
        assert_eq!(any > 0, !found.is_empty(), "{names:?}");
        (found.iter())
            .map(|key| key.rsplit('/').next().expect("a name").to_owned())
            .collect()
    }

    /// Guards against: rows that are in a backup twice, as it was taken while Arc deleted others;
    /// and a file that is lost as its name looks like a rewritten one.
    #[test]
    fn of_two_versions_the_newer_one_is_found() {
        let none: &[&str] = &[];
        for (names, expected) in [
            (&["a_1"][..], none),
            (&["a_1_rewrite_1795457405134409996"], none),
            (
                &["a_1", "a_1_rewrite_1795457405134409996"],
                &["a_1_rewrite_1795457405134409996.parquet"],
            ),
            (
                &[
                    "a_1_rewrite_1795457405134409996",
                    "a_1_rewrite_1795457405134409997",
                ],
                &["a_1_rewrite_1795457405134409997.parquet"],
            ),
            (
                &[
                    "a_1_rewrite_1795457405134409996",
                    "a_1_rewrite_1795457405134409996_rewrite_1795457405134409998",
                ],
                &["a_1_rewrite_1795457405134409996_rewrite_1795457405134409998.parquet"],
            ),
            (&["a_1", "a_10", "a_1_rewrite_20261120"], none),
            (&["a_1_b1_daily", "a_1", "a_1_rewrite"], none),
        ] {
            assert_eq!(newer(names), expected, "{names:?}");
        }
        assert_eq!(version_of("a/b_rewrite_1795457405134409996.txt"), None);
        assert_eq!(version_of("a/b_rewrite_1795457405134409996.parquet"), None);
    }
}
