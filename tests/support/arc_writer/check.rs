//! Checks a backup against the log of the writer that ran during it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::SystemTime;

use serde_json::Value;

use super::files::ids_in;
use super::jobs::{STATE_FOLDER, deleted_at_start};
use super::log::{Log, Row};

/// The files of a copy, by key.
pub type Files = BTreeMap<String, Vec<u8>>;

/// When a backup was made.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Before it was started.
    pub begun: SystemTime,
    /// After it had ended.
    pub ended: SystemTime,
    /// The moment in its manifest: everything committed before is in the backup.
    pub moment: Option<SystemTime>,
}

/// How much a check has covered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub files: usize,
    pub rows: usize,
    /// Jobs that were pending in the backup.
    pub pending: usize,
    /// Rows that were added or removed during the backup.
    pub undecided: usize,
}

/// The faults, the worst first, each with the events of that time in its day folder.
#[derive(Debug)]
pub struct Faults(pub Vec<(&'static str, String)>);

impl Faults {
    pub fn has(&self, kind: &str) -> bool {
        self.0.iter().any(|(found, _)| *found == kind)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = BTreeMap::new();
        for (kind, _) in &self.0 {
            *kinds.entry(kind).or_insert(0) += 1;
        }
        writeln!(f, "{kinds:?}")?;
        for (kind, text) in self.0.iter().take(8) {
            writeln!(f, "  {kind}: {text}")?;
        }
        Ok(())
    }
}

pub const UNREADABLE: &str = "unreadable";
pub const STRAY: &str = "stray";
pub const TWICE: &str = "twice";
pub const LOST: &str = "lost";
pub const UNKNOWN: &str = "never written";
pub const REMOVED: &str = "removed before";
pub const LATER: &str = "written afterwards";
pub const TORN: &str = "torn";

/// Checks every row of a restored copy, after the cleanup that Arc does at its start.
pub fn check(log: &Log, mut files: Files, seen: &Seen) -> Result<Counts, Faults> {
    let mut counts = Counts::default();
    let mut faults = Vec::new();
    let states: Vec<_> = (files.keys())
        .filter(|key| key.starts_with(STATE_FOLDER))
        .cloned()
        .collect();
    for state in states {
        let manifest: Value = serde_json::from_slice(&files.remove(&state).unwrap()).unwrap();
        let output = manifest["output_path"].as_str().unwrap();
        let size = files.get(output).map(|bytes| bytes.len() as u64);
        for key in deleted_at_start(&manifest, size) {
            files.remove(&key);
        }
        counts.pending += 1;
    }
    counts.files = files.len();
    let mut found: HashMap<i64, Vec<String>> = HashMap::new();
    for (key, bytes) in files {
        if !key.ends_with(".parquet") || key.contains("/.") {
            faults.push((STRAY, key));
            continue;
        }
        match ids_in(bytes) {
            Ok(ids) => ids
                .into_iter()
                .for_each(|id| found.entry(id).or_default().push(key.clone())),
            Err(error) => {
                let around = log.around(&key, seen.begun, seen.ended);
                faults.push((UNREADABLE, format!("{key}: {error}\n{around}")));
            }
        }
    }
    counts.rows = found.len();
    let moment = seen.moment.map_or(seen.begun, |m| m.max(seen.begun));
    let judge = Judge {
        log,
        seen,
        moment,
        found: &found,
    };
    faults.extend(judge.rows(&mut counts));
    faults.extend(judge.torn());
    if faults.is_empty() {
        Ok(counts)
    } else {
        Err(Faults(faults))
    }
}

struct Judge<'a> {
    log: &'a Log,
    seen: &'a Seen,
    moment: SystemTime,
    found: &'a HashMap<i64, Vec<String>>,
}

impl Judge<'_> {
    /// The faults of rows, one for each day folder and kind, with the events there.
    fn rows(&self, counts: &mut Counts) -> Vec<(&'static str, String)> {
        let mut faulty: BTreeMap<(&'static str, String), BTreeSet<i64>> = BTreeMap::new();
        let mut fault = |kind, file: &str, id| {
            let file = file.to_owned();
            faulty.entry((kind, file)).or_default().insert(id);
        };
        for (id, keys) in self.found {
            if keys.len() > 1 {
                fault(TWICE, &keys.join(" and "), *id);
            }
            match self.log.rows.get(id) {
                None => fault(UNKNOWN, &keys[0], *id),
                Some(row) if self.log.span(row.added_by).began > self.seen.ended => {
                    fault(LATER, &keys[0], *id);
                }
                Some(row) if self.gone(row) => fault(REMOVED, &keys[0], *id),
                Some(_) => {}
            }
        }
        for (id, row) in &self.log.rows {
            let added = self.log.span(row.added_by);
            let stays = (row.removed_by).is_none_or(|by| self.log.span(by).began > self.seen.ended);
            if added.ended_before(self.moment) && stays {
                if !self.found.contains_key(id) {
                    fault(LOST, &self.log.events[row.added_by].key, *id);
                }
            } else if added.began < self.seen.ended && !self.gone(row) {
                counts.undecided += 1;
            }
        }
        (faulty.into_iter())
            .map(|((kind, file), ids)| {
                let around = self.log.around(&file, self.seen.begun, self.seen.ended);
                (kind, format!("{file}: rows {ids:?}\n{around}"))
            })
            .collect()
    }

    /// Whether the row had been removed before the moment of the backup.
    fn gone(&self, row: &Row) -> bool {
        (row.removed_by).is_some_and(|by| self.log.span(by).ended_before(self.moment))
    }

    /// The faults of changes that are in the backup only in part.
    fn torn(&self) -> Vec<(&'static str, String)> {
        // For each event, the number of its rows that are missing and that exist. Rows that another
        // event may have removed do not count.
        let mut halves: BTreeMap<usize, [usize; 2]> = BTreeMap::new();
        for (id, row) in &self.log.rows {
            let there = usize::from(self.found.contains_key(id));
            let (added, ended) = (self.log.span(row.added_by), self.seen.ended);
            let event = match (row.removed_by).map(|by| (by, self.log.span(by))) {
                Some((_, removal)) if removal.ended_before(self.seen.begun) => None,
                // A row that may never have existed proves nothing about its removal.
                Some((by, removal)) if removal.began < ended => {
                    added.ended_before(self.moment).then_some(by)
                }
                _ => (added.began < ended).then_some(row.added_by),
            };
            if let Some(event) = event {
                halves.entry(event).or_default()[there] += 1;
            }
        }
        (halves.into_iter())
            .filter(|(_, [missing, there])| *missing > 0 && *there > 0)
            .map(|(event, [missing, there])| {
                let key = &self.log.events[event].key;
                let what = self.log.events[event].what;
                let around = self.log.around(key, self.seen.begun, self.seen.ended);
                (
                    TORN,
                    format!("{what} of {key}: {there} rows are there, {missing} are not\n{around}"),
                )
            })
            .collect()
    }
}
