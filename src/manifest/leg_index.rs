//! Which leg of a run holds each file.

use std::collections::HashMap;

/// How many segments of a path are looked at first: `data/iot/cpu`.
const SEGMENTS: usize = 3;

/// Which leg holds each file of an assembled backup. A folder is named once, however many files are
/// in it, unless its files lie in several legs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegIndex {
    folders: HashMap<String, usize>,
    /// Files that are not in the leg of their folder.
    files: HashMap<String, usize>,
}

impl LegIndex {
    pub(super) fn add(&mut self, path: &str, leg: usize) {
        let folder = folder_of(path);
        match self.folders.get(folder) {
            None => _ = self.folders.insert(folder.to_owned(), leg),
            Some(of_folder) if *of_folder == leg => {}
            Some(_) => _ = self.files.insert(path.to_owned(), leg),
        }
    }

    /// The position of the leg that holds the file at `path`. For a path of no file, it is the leg
    /// of its folder, or 0.
    #[must_use]
    pub fn leg_of(&self, path: &str) -> usize {
        let found = (self.files.get(path)).or_else(|| self.folders.get(folder_of(path)));
        found.copied().unwrap_or_default()
    }
}

/// The first segments of a path, without the name of the file.
fn folder_of(path: &str) -> &str {
    let mut ends = path.match_indices('/').map(|(at, _)| at).take(SEGMENTS);
    let first = ends.next();
    let end = ends.last().or(first).unwrap_or_default();
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a file that is read from a target that does not hold it.
    #[test]
    fn each_file_is_in_its_leg_also_where_a_folder_is_in_two() {
        let mut index = LegIndex::default();
        let files = [
            ("config/arc.toml", 0),
            ("data/_compaction_state/hourly/iot/a.json", 1),
            ("data/_compaction_state/hourly/web/b.json", 2),
            ("data/_schema/iot/cpu.parquet", 1),
            ("data/_schema/web/hits.parquet", 2),
            ("data/iot/cpu/2026/a.parquet", 1),
            ("data/iot/x.parquet", 1),
            ("data/web/hits/2026/a.parquet", 2),
            ("data/x.parquet", 0),
            ("metadata/arc.db", 0),
        ];
        for (path, leg) in files {
            index.add(path, leg);
        }
        for (path, leg) in files {
            assert_eq!(index.leg_of(path), leg, "{path}");
        }
        assert_eq!(index.leg_of("data/iot/cpu/2027/b.parquet"), 1);
        assert_eq!(index.leg_of("manifest.json"), 0);
        assert_eq!(folder_of("data/iot/cpu/2026/a.parquet"), "data/iot/cpu");
        assert_eq!(folder_of("data/iot/a"), "data/iot");
        assert_eq!(folder_of("a"), "");
    }
}
