//! The lists of the legs of a run, as one list.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use super::{INVENTORY, Inventory, InventoryFault, LegIndex, Record, Spool};
use crate::{Error, Result};

impl Inventory {
    /// Joins the lists of the legs of a run, in the new file `path`, in byte order of the paths.
    ///
    /// # Errors
    /// [`InventoryFault::Damaged`] where two legs have a file of the same path: it is not known
    /// which one is right.
    pub fn merge(path: &Path, legs: &[Self]) -> Result<Self, InventoryFault> {
        let mut spool = Spool::create(path)?;
        let mut index = LegIndex::default();
        let mut lists = Vec::new();
        let mut next = BinaryHeap::new();
        for (leg, list) in legs.iter().enumerate() {
            let mut records = list.records()?;
            next.extend(head(&mut records, leg)?);
            lists.push(records);
        }
        let mut last: Option<(String, usize)> = None;
        while let Some(Reverse(Head { path, leg, record })) = next.pop() {
            if let Some((_, other)) = last.filter(|(last, _)| *last == path) {
                let detail = format!(
                    "names `{path}` in two legs (number {} and {})",
                    other + 1,
                    leg + 1
                );
                return Err(InventoryFault::Damaged {
                    list: INVENTORY,
                    detail,
                });
            }
            index.add(&path, leg);
            spool.push(&record.0)?;
            last = Some((path, leg));
            next.extend(head(&mut lists[leg], leg)?);
        }
        let has_checksums = legs.iter().all(Self::has_checksums);
        Ok(spool.finish()?.of_legs(index, has_checksums))
    }
}

/// The next record of a leg's list. They are in order of path, then of leg.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    path: String,
    leg: usize,
    record: Unordered,
}

/// A record, which has no say in the order.
struct Unordered(Record);

impl PartialEq for Unordered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Unordered {}

impl PartialOrd for Unordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Unordered {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

fn head(
    records: &mut impl Iterator<Item = Result<Record>>,
    leg: usize,
) -> Result<Option<Reverse<Head>>, Error> {
    let record = records.next().transpose()?;
    Ok(record.map(|record| {
        Reverse(Head {
            path: record.path.to_string(),
            leg,
            record: Unordered(record),
        })
    }))
}

#[cfg(test)]
mod tests {
    use arc_backup_core::{Digest, Entry, Key, Section};

    use super::*;

    fn list(path: &Path, names: &[&str]) -> Inventory {
        let mut spool = Spool::create(path).expect("a file");
        for name in names {
            let (section, key) = name.split_once('/').expect("a section");
            let entry = Entry {
                sha256: Some(Digest::of(name.as_bytes())),
                ..Entry::new(Key::parse(key).expect("a key"), 1)
            };
            let section = Section::parse(section).expect("a section");
            let record = Record::new(&section, entry).expect("short");
            spool.push(&record).expect("in order");
        }
        spool.finish().expect("written")
    }

    /// Guards against: files of a leg that are restored twice, or not at all.
    #[test]
    fn the_lists_of_legs_become_one_and_no_file_is_in_two() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let first = list(
            &at("1"),
            &["config/arc.toml", "data/web/a", "metadata/x.db"],
        );
        let second = list(&at("2"), &["data/iot/a", "data/iot/b"]);
        let third = list(&at("3"), &["data/iot/b"]);
        let merged = Inventory::merge(&at("all"), &[first.clone(), second.clone()]);
        let merged = merged.expect("they share no file");
        let found: Vec<_> = (merged.records().expect("a file"))
            .map(|record| record.expect("a record").path.to_string())
            .map(|path| (merged.legs().leg_of(&path), path))
            .collect();
        let expected = [
            (0, "config/arc.toml"),
            (1, "data/iot/a"),
            (1, "data/iot/b"),
            (0, "data/web/a"),
            (0, "metadata/x.db"),
        ];
        assert_eq!(found, expected.map(|(leg, path)| (leg, path.to_owned())));
        assert_eq!(merged.totals_of(&Section::Data), (3, 3));
        let twice = Inventory::merge(&at("twice"), &[first, second, third]);
        let said = twice.expect_err("one is in two").to_string();
        assert!(said.contains("`data/iot/b` in two legs"), "{said}");
    }
}
