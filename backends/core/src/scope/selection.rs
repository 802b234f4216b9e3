//! What is included and excluded of the data.

use std::fmt;

use super::place::Place;
use super::selector::{Match, Selector};
use super::time_range::TimeRange;

/// What is selected of the data: all that is included, without what is excluded.
///
/// Where nothing is included by name, everything is.
///
/// ```
/// use arc_backup_core::{Scope, Selection, Selector};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let selection = Selection::new(vec!["iot".parse()?], vec!["iot.vibration".parse()?]);
/// let scope = Scope::whole().selecting(selection);
/// assert!(scope.contains_data("iot/temperature/2026/11/20/05/a.parquet"));
/// assert!(!scope.contains_data("iot/vibration/2026/11/20/05/a.parquet"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    include: Vec<Selector>,
    exclude: Vec<Selector>,
}

impl Selection {
    /// What these include, without what those exclude.
    #[must_use]
    pub fn new(include: Vec<Selector>, exclude: Vec<Selector>) -> Self {
        Self { include, exclude }
    }

    /// What is included; empty where everything is.
    #[must_use]
    pub fn include(&self) -> &[Selector] {
        &self.include
    }

    /// What is excluded.
    #[must_use]
    pub fn exclude(&self) -> &[Selector] {
        &self.exclude
    }

    /// Whether nothing is named.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    pub(super) fn contains(&self, path: &str, place: &Place<'_>) -> bool {
        let is_in = |one: &Selector| one.decide(path, place) == Match::Yes;
        let is_out = |one: &Selector| one.decide(path, place) != Match::No;
        (self.include.is_empty() || self.include.iter().any(is_in))
            && !self.exclude.iter().any(is_out)
    }

    /// Whether a file in the folder may be selected.
    pub(super) fn reaches(&self, folder: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|one| one.reaches(folder)))
            && !self.exclude.iter().any(|one| one.takes_all_of(folder))
    }

    /// Whether it selects all that the other one does; `false` where that is not sure.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let is_covered = |one: &Selector| self.include.iter().any(|own| own.covers(one));
        let includes = match (&self.include[..], &other.include[..]) {
            ([], _) => true,
            (_, []) => false,
            (_, others) => others.iter().all(is_covered),
        };
        let is_out = |one: &Selector| other.exclude.iter().any(|others| others.covers(one));
        includes && self.exclude.iter().all(is_out)
    }

    /// What the paths of files that it includes begin with; `None` where everything is included.
    pub(super) fn prefixes(&self, time: &TimeRange) -> Option<Vec<String>> {
        let all = self.include.iter().flat_map(|one| one.prefixes(time));
        (!self.include.is_empty()).then(|| all.collect())
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &[Selector]| {
            let texts: Vec<String> = all.iter().map(Selector::to_string).collect();
            texts.join(", ")
        };
        match (&self.include[..], &self.exclude[..]) {
            ([], []) => f.write_str("everything"),
            ([], exclude) => write!(f, "all but {}", list(exclude)),
            (include, []) => f.write_str(&list(include)),
            (include, exclude) => write!(f, "{} but not {}", list(include), list(exclude)),
        }
    }
}
