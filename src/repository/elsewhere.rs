//! Which files of a backup have their bytes in another one, in 8 bytes a file.
//!
//! A million paths would be 200 MiB of memory. So a number is kept for each: the hash of the path
//! with the position of the backup that holds its bytes. Paths
//! with the same hash are kept whole.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::Result;
use crate::manifest::{BackupId, Record};

/// How many bits of a number are the position of the holder; the others are the hash.
const HOLDER_BITS: u32 = 16;
const HOLDERS: u64 = 1 << HOLDER_BITS;

/// Which files of a backup have their bytes in another one.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    holders: Vec<BackupId>,
    /// Hashes with positions in `holders`, sorted.
    files: Vec<u64>,
    /// Files whose hashes are the same as those of others; `None` for those of the backup itself.
    exact: HashMap<String, Option<usize>>,
}

impl Elsewhere {
    /// Reads a list, twice.
    pub(super) fn read<I>(records: impl Fn() -> Result<I>) -> Result<Self>
    where
        I: Iterator<Item = Result<Record>>,
    {
        Self::read_with(records, hash)
    }

    fn read_with<I>(records: impl Fn() -> Result<I>, hash: impl Fn(&str) -> u64) -> Result<Self>
    where
        I: Iterator<Item = Result<Record>>,
    {
        let mut all = Self::default();
        let mut positions: HashMap<BackupId, usize> = HashMap::new();
        let mut position_of = |holders: &mut Vec<BackupId>, holder: &BackupId| {
            *positions.entry(holder.clone()).or_insert_with(|| {
                holders.push(holder.clone());
                holders.len() - 1
            })
        };
        let mut unclear = BTreeSet::new();
        for record in records()? {
            let record = record?;
            let Some(holder) = &record.stored_in else {
                continue;
            };
            let position = position_of(&mut all.holders, holder);
            match u64::try_from(position) {
                Ok(position @ 0..HOLDERS) => all.files.push(upper(hash(&record.path)) | position),
                // Of more backups than any target has.
                _ => _ = unclear.insert(upper(hash(&record.path))),
            }
        }
        all.files.sort_unstable();
        all.files.shrink_to_fit();
        let twice = all
            .files
            .windows(2)
            .filter(|two| upper(two[0]) == upper(two[1]));
        unclear.extend(twice.map(|two| upper(two[0])));
        for record in records()? {
            let record = record?;
            let hash = upper(hash(&record.path));
            let is_own = record.stored_in.is_none();
            if unclear.contains(&hash) || (is_own && all.position(hash).is_some()) {
                let position =
                    (record.stored_in.as_ref()).map(|holder| position_of(&mut all.holders, holder));
                all.exact.insert(record.path.to_string(), position);
            }
        }
        Ok(all)
    }

    /// The other backup that holds the bytes of the file at `path`; `None` where it is the backup
    /// itself.
    pub(super) fn holder(&self, path: &str) -> Option<&BackupId> {
        if self.holders.is_empty() {
            return None;
        }
        let position = match self.exact.get(path) {
            Some(position) => (*position)?,
            None => self.position(upper(hash(path)))?,
        };
        self.holders.get(position)
    }

    fn position(&self, upper_bits: u64) -> Option<usize> {
        let at = self.files.partition_point(|file| upper(*file) < upper_bits);
        let found = self
            .files
            .get(at)
            .filter(|file| upper(**file) == upper_bits)?;
        usize::try_from(found % HOLDERS).ok()
    }
}

fn upper(number: u64) -> u64 {
    number & !(HOLDERS - 1)
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use arc_backup_core::{Entry, Key, Section};

    use super::*;

    fn records(count: usize, holders: usize) -> Vec<Record> {
        (0..count)
            .map(|number| {
                let key = Key::parse(&format!("iot/{number}.parquet")).expect("a key");
                let mut record = Record::new(&Section::Data, Entry::new(key, 1)).expect("short");
                record.stored_in = (number % (holders + 1)).checked_sub(1).map(|holder| {
                    BackupId::parse(&format!("backup-20260101-000000-{holder:08x}")).expect("an id")
                });
                record
            })
            .collect()
    }

    /// Guards against: a file that is read from a backup that holds another one by that name.
    #[test]
    fn each_file_has_its_holder_also_where_hashes_are_the_same() {
        type HashOf = fn(&str) -> u64;
        let few: HashOf = |path| (hash(path) % 1000) << HOLDER_BITS;
        let cases: [(HashOf, usize); 3] = [(hash, 0), (few, 1000), (|_| 7, 1000)];
        for (of, least_exact) in cases {
            for holders in [1, 3, 1000] {
                let records = records(5_000, holders);
                let read = || Ok(records.iter().cloned().map(Ok));
                let elsewhere = Elsewhere::read_with(read, of).expect("read");
                assert!(elsewhere.exact.len() >= least_exact, "{holders}");
                for record in &records {
                    // The tests' hashes are not those of `holder`: all must be exact, then.
                    let position = match elsewhere.exact.get(&*record.path) {
                        Some(position) => *position,
                        None => elsewhere.position(upper(of(&record.path))),
                    };
                    let holder = position.map(|position| &elsewhere.holders[position]);
                    assert_eq!(holder, record.stored_in.as_ref(), "{}", record.path);
                }
            }
        }
    }

    /// Guards against: a reader that takes hundreds of MiB for a million files.
    #[test]
    fn a_file_takes_eight_bytes() {
        let records = records(20_000, 3);
        let read = || Ok(records.iter().cloned().map(Ok));
        let elsewhere = Elsewhere::read(read).expect("read");
        assert_eq!(elsewhere.files.len(), 15_000);
        assert_eq!(elsewhere.files.capacity(), 15_000);
        assert!(elsewhere.exact.is_empty() && elsewhere.holders.len() == 3);
        for record in &records {
            assert_eq!(elsewhere.holder(&record.path), record.stored_in.as_ref());
        }
    }
}
