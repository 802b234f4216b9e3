//! Sorting records on disk: a list may be in any order, and is too large for memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};

use super::parse::ParseFault;
use crate::manifest::{Inventory, Record, Spool};
use crate::{Error, Result};

/// Sorted files of records, which are merged in the end.
pub(super) struct Runs {
    path: PathBuf,
    limits: Limits,
    unsorted: Vec<Record>,
    /// The run that is being written, and the path of its last record.
    open: Option<(Spool, String)>,
    ended: Vec<Inventory>,
    made: u64,
}

/// How much is held at once.
pub(super) struct Limits {
    /// Records in memory.
    pub(super) records: usize,
    /// Files that are open when they are merged.
    pub(super) files: usize,
}

impl Runs {
    /// None yet; their files begin with `path`.
    pub(super) fn new(path: &Path, limits: Limits) -> Self {
        Self {
            path: path.to_owned(),
            limits,
            unsorted: Vec::new(),
            open: None,
            ended: Vec::new(),
            made: 0,
        }
    }

    pub(super) fn push(&mut self, record: Record) -> Result<(), ParseFault> {
        self.unsorted.push(record);
        match self.unsorted.len() >= self.limits.records {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes what is in memory behind the last run where it belongs there, else to a new one.
    fn flush(&mut self) -> Result<(), ParseFault> {
        self.unsorted.sort_by(|a, b| a.path.cmp(&b.path));
        for record in std::mem::take(&mut self.unsorted) {
            let (mut spool, last) = match self.open.take() {
                Some((spool, last)) if *last < *record.path => (spool, last),
                Some((_, last)) if *last == *record.path => return Err(twice(&record)),
                behind => {
                    if let Some((spool, _)) = behind {
                        self.end(spool)?;
                    }
                    (self.create()?, String::new())
                }
            };
            spool.push(&record).map_err(ParseFault::Other)?;
            let mut last = last;
            last.clear();
            last.push_str(&record.path);
            self.open = Some((spool, last));
        }
        Ok(())
    }

    fn create(&mut self) -> Result<Spool, ParseFault> {
        self.made += 1;
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{}", self.made));
        Spool::create(path.as_ref()).map_err(ParseFault::Other)
    }

    fn end(&mut self, spool: Spool) -> Result<(), ParseFault> {
        self.ended.push(spool.finish().map_err(ParseFault::Other)?);
        match self.ended.len() >= self.limits.files {
            true => self.merge(),
            false => Ok(()),
        }
    }

    /// Merges the ended runs to one.
    fn merge(&mut self) -> Result<(), ParseFault> {
        let mut merged = self.create()?;
        let runs = std::mem::take(&mut self.ended);
        let mut readers = Vec::new();
        let mut heads = BinaryHeap::new();
        for (at, run) in runs.iter().enumerate() {
            let mut records = run.records().map_err(ParseFault::Other)?;
            if let Some(head) = next(&mut records)? {
                heads.push(Reverse(Head { record: head, at }));
            }
            readers.push(records);
        }
        let mut last = None;
        while let Some(Reverse(Head { record, at })) = heads.pop() {
            if last.as_ref() == Some(&record.path) {
                return Err(twice(&record));
            }
            merged.push(&record).map_err(ParseFault::Other)?;
            last = Some(record.path);
            if let Some(head) = next(&mut readers[at])? {
                heads.push(Reverse(Head { record: head, at }));
            }
        }
        drop(readers);
        for run in runs {
            let removed = std::fs::remove_file(run.path());
            removed.map_err(|e| ParseFault::Other(Error::io("remove", run.path(), e)))?;
        }
        self.ended.push(merged.finish().map_err(ParseFault::Other)?);
        Ok(())
    }

    /// The records as one sorted list.
    pub(super) fn finish(mut self) -> Result<Inventory, ParseFault> {
        self.flush()?;
        let open = match self.open.take() {
            Some((spool, _)) => spool,
            None => self.create()?,
        };
        self.end(open)?;
        if self.ended.len() > 1 {
            self.merge()?;
        }
        match self.ended.pop() {
            Some(list) => Ok(list),
            None => unreachable!("one was ended"),
        }
    }
}

fn next(records: &mut impl Iterator<Item = Result<Record>>) -> Result<Option<Record>, ParseFault> {
    records.next().transpose().map_err(ParseFault::Other)
}

fn twice(record: &Record) -> ParseFault {
    ParseFault::Damaged(format!("names `{}` twice", record.entry.key))
}

/// The next record of a run.
struct Head {
    record: Record,
    at: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.record.path, self.at).cmp(&(&other.record.path, other.at))
    }
}

#[cfg(test)]
mod tests {
    use arc_backup_core::{Digest, Entry, Key, Section};

    use super::*;

    fn entry(key: Key) -> Entry {
        Entry {
            sha256: Some(Digest::of(key.as_bytes())),
            ..Entry::new(key, 1)
        }
    }

    fn sorted(numbers: &[u32]) -> Result<Vec<u32>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            records: 3,
            files: 4,
        };
        let mut runs = Runs::new(&folder.path().join("list"), limits);
        let list = numbers.iter().try_for_each(|number| {
            let key = Key::parse(&format!("{number:04}")).expect("a key");
            runs.push(Record::new(&Section::Data, entry(key)).expect("short"))
        });
        match list.and_then(|()| runs.finish()) {
            Ok(list) => Ok((list.records().expect("a file"))
                .map(|record| {
                    record
                        .expect("a record")
                        .entry
                        .key
                        .parse()
                        .expect("a number")
                })
                .collect()),
            Err(ParseFault::Damaged(detail)) => Err(detail),
            Err(ParseFault::Other(error)) => panic!("{error}"),
        }
    }

    /// Guards against: a file that is lost, or passes twice, where a list is not in order.
    #[test]
    fn any_order_is_sorted_and_a_file_that_is_there_twice_is_named() {
        let mut numbers = fastrand::Rng::with_seed(27_01);
        for count in [0_u32, 1, 2, 3, 4, 7, 30, 100] {
            let all: Vec<u32> = (0..count).collect();
            for round in 0..20 {
                let mut mixed = all.clone();
                if round > 0 {
                    numbers.shuffle(&mut mixed);
                }
                assert_eq!(sorted(&mixed), Ok(all.clone()), "{mixed:?}");
                if let Some(again) = mixed.first().copied() {
                    mixed.insert(numbers.usize(0..=mixed.len()), again);
                    let detail = sorted(&mixed).expect_err("it is there twice");
                    assert_eq!(detail, format!("names `{again:04}` twice"), "{mixed:?}");
                }
            }
        }
    }
}
