//! The sections of a request, in REST and on the command line.

use std::collections::BTreeSet;

use arc_backup_core::{Databases, Key, Scope, Section, database_of};

use crate::manifest::is_data_file;
use crate::{Error, Result};

/// The chosen sections, of those that every instance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sections {
    /// Parquet files and their companions, and the sections of third parties.
    pub data: bool,
    /// SQLite databases.
    pub metadata: bool,
    /// `arc.toml`.
    pub config: bool,
}

impl From<Sections> for Scope {
    fn from(sections: Sections) -> Self {
        let chosen = [
            (Section::Data, sections.data),
            (Section::Metadata, sections.metadata),
            (Section::Config, sections.config),
        ];
        let chosen = chosen.into_iter().filter(|(_, is_chosen)| *is_chosen);
        Self::of_sections(chosen.map(|(section, _)| section))
    }
}

/// The databases that the data of a scope is limited to, sorted; empty where it is not, or where no
/// data is in scope.
#[must_use]
pub(crate) fn named_databases(scope: &Scope) -> Vec<String> {
    match scope.databases() {
        Databases::Only(names) if scope.includes(&Section::Data) => names.iter().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Refuses a backup of data that its manifest can't name: it would pass for one of all databases.
/// The parts of a backup over several targets are no requests, and their manifests name the others.
///
/// # Errors
/// [`Error::Invalid`] says what a backup can be limited to.
pub(crate) fn check_can_be_named(scope: &Scope) -> Result<()> {
    let can_be_named = match scope.databases() {
        Databases::All => true,
        Databases::Only(names) => !names.is_empty(),
        Databases::Except(_) => false,
    };
    let is_part = scope.folders().is_some() || scope.is_selective();
    if !scope.includes(&Section::Data) || (can_be_named && !is_part) {
        return Ok(());
    }
    Err(Error::Invalid(
        "the data of a backup can be limited to databases that are named, and to nothing else: not to \
         folders, and not to all databases but some"
            .to_owned(),
    ))
}

/// The databases, of these, that have no data file among the keys.
pub(crate) fn without_data_files(
    databases: &[String],
    keys: impl Iterator<Item = Result<Key>>,
) -> Result<Vec<String>> {
    let mut without: BTreeSet<&str> = databases.iter().map(String::as_str).collect();
    for key in keys {
        if without.is_empty() {
            break;
        }
        let key = key?;
        if is_data_file(&key)
            && let Some(database) = database_of(&key)
        {
            without.remove(database);
        }
    }
    Ok(without.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a backup of a part of the data that is listed, and restored, as a whole one.
    #[test]
    fn a_backup_is_of_all_databases_or_of_named_ones() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let data = || Scope::of_sections([Section::Data, Section::Metadata]);
        let of = |databases| data().of_databases(databases);
        let folder = Key::parse("iot/cpu").expect("a key");
        for (scope, is_good) in [
            (Scope::whole(), true),
            (of(Databases::All), true),
            (of(Databases::Only(names(&["iot"]))), true),
            (of(Databases::Only(names(&[]))), false),
            (of(Databases::Except(names(&["iot"]))), false),
            (data().within([folder.clone()]), false),
            (
                of(Databases::Only(names(&["iot"]))).within([folder.clone()]),
                false,
            ),
            (
                Scope::of_sections([Section::Metadata]).within([folder]),
                true,
            ),
        ] {
            assert_eq!(check_can_be_named(&scope).is_ok(), is_good, "{scope:?}");
        }
    }

    /// Guards against: a database of which only companions are there, and that counts as held.
    #[test]
    fn companions_are_no_data_files() {
        let keys = [
            "_compaction_state/daily/job/a.json",
            "_schema/schema/cpu.parquet",
            "iot/cpu/a.parquet",
            "notes/cpu/a.txt",
        ];
        let keys = keys.map(|key| Ok(Key::parse(key).expect("a key")));
        let all = ["iot", "job", "notes", "schema"].map(str::to_owned);
        let without = without_data_files(&all, keys.into_iter()).expect("no fault");
        assert_eq!(without, ["job", "notes", "schema"]);
    }
}
