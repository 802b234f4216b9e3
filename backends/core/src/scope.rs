//! What an operation is about: the whole instance, or a part of it.

mod databases;
mod pattern;
mod place;
mod prefixes;
mod selection;
mod selector;
mod time_range;

use std::collections::BTreeSet;

pub use databases::{Databases, database_of};
pub use selection::Selection;
pub use selector::{InvalidSelector, Selector};
pub use time_range::{EmptyTimeRange, TimeRange};

use self::place::{Kind, Place};
use crate::{Entry, Error, Key, Section};

/// The part of an instance that a backup, a restore, a verification or a comparison is about.
///
/// [`contains`](Scope::contains) is the one place that decides. What is out of scope is never
/// listed as extra, never set aside and never removed.
///
/// A scope limits the sections, and within the section `data` the databases, the folders, what is
/// selected ([`Selection`]: databases, measurements, globs over paths) and the time
/// ([`TimeRange`]).
///
/// A database of a scope is the first segment of a path, as Arc 27.01 counts them. It comes with
/// its companions: `_schema/<database>/` and `_compaction_state/<tier>/<database>/`.
///
/// ```
/// use arc_backup_core::{Key, Scope, Section};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let scope = Scope::of_sections([Section::Data]).within([Key::parse("iot/cpu")?]);
/// assert!(scope.contains(&Section::Data, &Key::parse("iot/cpu/2026/a.parquet")?));
/// assert!(!scope.contains(&Section::Data, &Key::parse("iot/mem/2026/a.parquet")?));
/// assert!(!scope.contains(&Section::Metadata, &Key::parse("arc.db")?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// `None`: all.
    sections: Option<BTreeSet<Section>>,
    /// Databases of the section `data`.
    databases: Databases,
    /// Folders of the section `data`; `None`: all of it.
    folders: Option<BTreeSet<Key>>,
    /// What is selected of the section `data`.
    selection: Selection,
    /// The time that files of the section `data` have rows of.
    time: TimeRange,
}

/// Whether `path` lies in the folder, or is it.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Scope {
    /// Everything.
    #[must_use]
    pub fn whole() -> Self {
        Self::default()
    }

    /// These sections, each as a whole. A third party's section counts as data: it is in scope when
    /// `data` is, and when it is named itself.
    #[must_use]
    pub fn of_sections(sections: impl IntoIterator<Item = Section>) -> Self {
        Self {
            sections: Some(sections.into_iter().collect()),
            ..Self::default()
        }
    }

    /// The same scope, but of the section `data` these databases only. The other sections stay as
    /// they are, but those of third parties: what belongs to a database there is not known, and
    /// they are in scope only when they are named.
    #[must_use]
    pub fn of_databases(mut self, databases: Databases) -> Self {
        self.databases = databases;
        self
    }

    /// The databases in scope.
    #[must_use]
    pub fn databases(&self) -> &Databases {
        &self.databases
    }

    /// The same scope, but of the section `data` these folders only. The other sections stay as
    /// they are, but those of third parties: what belongs to a folder there is not known, and they
    /// are in scope only when they are named.
    #[must_use]
    pub fn within(mut self, folders: impl IntoIterator<Item = Key>) -> Self {
        self.folders = Some(folders.into_iter().collect());
        self
    }

    /// Whether nothing is out of scope.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.sections.is_none() && self.has_all_data()
    }

    /// Whether the section, or some of it, is in scope.
    #[must_use]
    pub fn includes(&self, section: &Section) -> bool {
        let named = |section| match &self.sections {
            Some(sections) => sections.contains(section),
            None => true,
        };
        match section {
            Section::Other(_) if !self.has_all_data() => self.sections.is_some() && named(section),
            Section::Other(_) => named(section) || named(&Section::Data),
            _ => named(section),
        }
    }

    /// Whether the entry at `key` of `section` is in scope.
    #[must_use]
    pub fn contains(&self, section: &Section, key: &Key) -> bool {
        self.includes(section) && (*section != Section::Data || self.contains_data(key))
    }

    /// Whether the entry of a backup is in scope: by its key, and of a file of a whole day of which
    /// the time range has only a part, by the times of its rows too, where these are known. Such a
    /// file with rows of other hours alone is to be left as it is, live and in the backup.
    #[must_use]
    pub fn contains_entry(&self, section: &Section, entry: &Entry) -> bool {
        self.contains(section, &entry.key)
            && (*section != Section::Data || !self.has_other_times(entry))
    }

    /// Whether the rows of a data file in scope are known to be of other times. The file of an hour
    /// is not asked: what is live in its place may have the rows of several files.
    fn has_other_times(&self, entry: &Entry) -> bool {
        let times = entry.rows.and_then(|rows| rows.times);
        times.is_some_and(|times| self.splits(&entry.key) && !self.time.overlaps_rows(times))
    }

    /// Whether the data file at `path` is in scope, as far as data is at all. The path of a folder
    /// ends in `/`: it is in scope when a file in it may be. It need not be a valid key.
    #[must_use]
    pub fn contains_data(&self, path: &str) -> bool {
        if path.is_empty() || path.ends_with('/') {
            return self.reaches(path);
        }
        let is_in = |folder: &Key| is_within(path, folder);
        self.databases.contain(path)
            && (self.folders.as_ref()).is_none_or(|folders| folders.iter().any(is_in))
            && (!self.is_selective() || self.selects(path))
    }

    /// Whether the data file is selected, and of the time.
    fn selects(&self, path: &str) -> bool {
        let place = Place::of(path);
        let is_of_time = match place.period {
            _ if self.time.is_open() || place.kind == Kind::Anchor => true,
            Some(period) => self.time.overlaps(period),
            None => false,
        };
        is_of_time && self.selection.contains(path, &place)
    }

    /// Whether a live data file in scope that a backup does not hold is extra. The anchor of a
    /// schema is of all times: a restore of some time brings it, and never takes it away.
    #[must_use]
    pub fn takes_extra(&self, path: &str) -> bool {
        self.time.is_open() || Place::of(path).kind != Kind::Anchor
    }

    /// Whether the compaction job with the state at `path` may change data in scope. Where the name
    /// of the state does not say what the job works on, it may.
    #[must_use]
    pub fn concerns_job(&self, path: &str) -> bool {
        let place = Place::of(path);
        let is_known = place.measurement.is_some() && place.period.is_some();
        let folder = path.rfind('/').map_or("", |at| &path[..=at]);
        self.contains_data(path) || (!is_known && self.reaches(folder))
    }

    /// Whether the data file in scope has rows of a day of which the time range has only a part:
    /// to replace the file would change rows outside.
    #[must_use]
    pub fn splits(&self, path: &str) -> bool {
        !self.time.is_open() && (Place::of(path).period).is_some_and(|at| self.time.splits(at))
    }

    /// Whether a listing of the data can do without the place that this fault is of: no file there
    /// is in scope.
    #[must_use]
    pub fn ignores(&self, fault: &Error) -> bool {
        fault.is_of_one_place() && !self.contains_data(fault.subject())
    }

    /// Whether a file in this folder of the data may be in scope.
    fn reaches(&self, folder: &str) -> bool {
        // A file may lie in any folder below it.
        let of_databases = match database_of(&format!("{folder}x")) {
            Some(_) => self.databases.contain(&format!("{folder}x")),
            None => true,
        };
        let is_near = |one: &Key| is_within(folder, one) || format!("{one}/").starts_with(folder);
        of_databases
            && (self.folders.as_ref()).is_none_or(|folders| folders.iter().any(is_near))
            && (!self.is_selective() || self.reaches_selected(folder))
    }

    fn reaches_selected(&self, folder: &str) -> bool {
        // The date of a folder is that of every file in it.
        let name = format!("{folder}x");
        let place = Place::of(&name);
        let is_of_time = match place.period {
            Some(period) if place.kind == Kind::Data => self.time.overlaps(period),
            _ => true,
        };
        is_of_time && self.selection.reaches(folder)
    }

    /// What the keys of data files in scope begin with, in byte order; no prefix begins with
    /// another one. A listing of these finds every file in scope, and may find others.
    #[must_use]
    pub fn data_prefixes(&self) -> Vec<String> {
        let of_databases = match &self.databases {
            Databases::Only(names) => Some(
                (names.iter())
                    .filter(|name| !name.is_empty() && !name.contains('/'))
                    .flat_map(|name| prefixes::of_database(name))
                    .collect(),
            ),
            Databases::All | Databases::Except(_) => None,
        };
        let folders = (self.folders.as_ref()).map(|all| all.iter().map(Key::to_string).collect());
        let selected = self.selection.prefixes(&self.time);
        let all = [of_databases, folders, selected].into_iter().flatten();
        all.map(prefixes::reduced)
            .reduce(|one, other| prefixes::of_both(&one, &other))
            .unwrap_or_else(|| vec![String::new()])
    }

    /// The same scope, but of the section `data` only what is in these databases too.
    #[must_use]
    pub fn and_databases(mut self, databases: &Databases) -> Self {
        self.databases = self.databases.and(databases);
        self
    }

    /// The same scope, but of the section `data` only what is selected.
    #[must_use]
    pub fn selecting(mut self, selection: Selection) -> Self {
        self.selection = selection;
        self
    }

    /// What is selected of the data.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The same scope, but of the section `data` only files of this time. A file whose path has no
    /// date is of no time, but for the anchors of schemas.
    #[must_use]
    pub fn in_time(mut self, time: TimeRange) -> Self {
        self.time = time;
        self
    }

    /// The time that the data is limited to.
    #[must_use]
    pub fn time(&self) -> &TimeRange {
        &self.time
    }

    /// Whether the data is limited to what is selected, or to a time.
    #[must_use]
    pub fn is_selective(&self) -> bool {
        !self.selection.is_all() || !self.time.is_open()
    }

    /// The same scope without this section. Where it names none, it names data, metadata and
    /// configuration from now on.
    #[must_use]
    pub fn without(mut self, section: &Section) -> Self {
        let all = || BTreeSet::from([Section::Data, Section::Metadata, Section::Config]);
        self.sections.get_or_insert_with(all).remove(section);
        self
    }

    /// Whether each data file that is in the other scope is in this one; `false` where globs leave
    /// that open.
    #[must_use]
    pub fn covers_data_of(&self, other: &Self) -> bool {
        let has = |folders: &BTreeSet<Key>, one: &Key| folders.iter().any(|f| one.is_within(f));
        let folders = match (&self.folders, &other.folders) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(these), Some(others)) => others.iter().all(|one| has(these, one)),
        };
        folders
            && self.databases.cover(&other.databases)
            && self.selection.covers(&other.selection)
            && self.time.covers(&other.time)
    }

    /// The folders that the data is limited to; `None` for all of it.
    #[must_use]
    pub fn folders(&self) -> Option<&BTreeSet<Key>> {
        self.folders.as_ref()
    }

    /// Whether no data is out of scope, as far as the section is in it.
    fn has_all_data(&self) -> bool {
        self.folders.is_none() && self.databases == Databases::All && !self.is_selective()
    }
}

#[cfg(test)]
mod selected_tests;
#[cfg(test)]
mod tests;
