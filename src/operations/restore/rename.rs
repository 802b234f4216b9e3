//! Restoring databases under other names.
//!
//! The inventory is written once more, with the keys that the files get. From then on a restore
//! uses that list; only the reader of the backup knows the old keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use arc_backup_core::{Databases, Entry, Key, Scope, Section};
use serde::{Deserialize, Serialize};

use crate::manifest::{Inventory, Manifest, Record, Spool};
use crate::nearest::nearest;
use crate::operations::entries::section_records;
use crate::{Error, Result};

/// The folder of the anchors of schemas, under the storage root.
const SCHEMAS: &str = "_schema";
/// The folder of the metadata of an Iceberg table, in that of the table.
const ICEBERG_METADATA: &str = "metadata";
/// The longest name of a database.
const LONGEST_NAME: usize = 64;

/// New names of databases, by the names that they have in the backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Renames(BTreeMap<String, String>);

impl Renames {
    /// These names, each the old one and the new one.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a new name can't be one, or a name is there twice.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut names = BTreeMap::new();
        let mut new_names = BTreeSet::new();
        for (from, to) in pairs {
            let first = to.chars().next();
            let is_name = to.len() <= LONGEST_NAME
                && first.is_some_and(|first| first.is_ascii_alphanumeric())
                && to
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            if !is_name {
                return Err(Error::Invalid(format!(
                    "rename: {to:?} can't be the name of a database: 1 to {LONGEST_NAME} letters, digits, `_` and `-`, the first a \
                     letter or digit"
                )));
            }
            if from == to {
                return Err(Error::Invalid(format!(
                    "rename: {from:?} is its name already"
                )));
            }
            if !new_names.insert(to.clone()) {
                return Err(Error::Invalid(format!(
                    "rename: two databases would be {to:?}"
                )));
            }
            if names.insert(from.clone(), to).is_some() {
                return Err(Error::Invalid(format!(
                    "rename: {from:?} has two new names"
                )));
            }
        }
        Ok(Self(names))
    }

    /// Reads `old:new`.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse_pair(text: &str) -> Result<(String, String), String> {
        match text.split_once(':') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => {
                Ok((from.to_owned(), to.to_owned()))
            }
            _ => Err("expected OLD:NEW, two names of databases".to_owned()),
        }
    }

    /// Whether nothing is renamed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The new names by the old ones.
    #[must_use]
    pub fn names(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The databases as the backup has them.
    pub(crate) fn old_names(&self) -> Databases {
        Databases::Only(self.0.keys().cloned().collect())
    }

    /// The databases as they are live.
    pub(crate) fn new_names(&self) -> Databases {
        Databases::Only(self.0.values().cloned().collect())
    }

    /// Checks that the backup has each of the databases.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first that it does not have.
    pub(crate) fn check<'a>(&self, id: &impl fmt::Display, manifest: &'a Manifest) -> Result<()> {
        if let Some(name) = self.0.keys().find(|name| name.contains('/')) {
            let node = name.split('/').next().unwrap_or_default();
            return Err(Error::Invalid(format!(
                "rename: {name:?} is below the folder {node:?}, which can be renamed as a whole only: {node}:NEW"
            )));
        }
        // A database that was synced from an edge node has a slash in its name: its files are below
        // the first folder, which is renamed as a whole.
        let first = |name: &'a str| name.split('/').next().unwrap_or(name);
        let known = || manifest.databases.iter().map(move |one| first(&one.name));
        // Backups by Arc may name none.
        let unknown = (self.0.keys())
            .find(|name| known().next().is_some() && !known().any(|known| known == *name));
        let Some(name) = unknown else {
            return Ok(());
        };
        let meant = nearest(name, known());
        let meant = meant.map_or_else(String::new, |meant| format!(": did you mean {meant:?}?"));
        Err(Error::Invalid(format!(
            "rename: backup {id} has no database {name:?}{meant}"
        )))
    }

    /// The path in the backup of the file that is restored as `path`.
    pub(crate) fn path_in_backup(&self, path: &str) -> Option<String> {
        let key = path
            .strip_prefix(Section::Data.as_str())?
            .strip_prefix('/')?;
        self.prefixes().into_iter().find_map(|(new, old)| {
            let rest = key.strip_prefix(&*new)?;
            Some(format!("{}/{old}{rest}", Section::Data))
        })
    }

    /// What the keys begin with: as they become, and as they are, in the order of the new ones.
    fn prefixes(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = (self.0.iter())
            .flat_map(|(old, new)| {
                [
                    (format!("{new}/"), format!("{old}/")),
                    (format!("{SCHEMAS}/{new}/"), format!("{SCHEMAS}/{old}/")),
                ]
            })
            .collect();
        all.sort_unstable();
        all
    }
}

impl fmt::Display for Renames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (old, new)) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { ", " };
            write!(f, "{between}{old} as {new}")?;
        }
        Ok(())
    }
}

/// The list of what is restored. Where databases are renamed, it has their files in scope only,
/// with the keys that they get.
pub(crate) struct Renamed {
    pub(crate) inventory: Inventory,
    /// Files that name their database inside, which are not restored: of Iceberg tables, and states
    /// of compaction jobs.
    pub(crate) omitted: u64,
}

/// Writes the list of what is restored to the file `path`. `scope` is that of the files as the
/// backup has them.
///
/// # Errors
/// When a list can't be read or written, or a key would be too long.
pub(crate) fn renamed(
    inventory: &Inventory,
    scope: &Scope,
    renames: &Renames,
    has_checksums: bool,
    path: &Path,
) -> Result<Renamed> {
    if renames.is_empty() {
        return Ok(Renamed {
            inventory: inventory.clone(),
            omitted: 0,
        });
    }
    let section = Section::Data;
    let mut spool = Spool::create(path)?;
    let mut written = 0_u64;
    let mut empty: BTreeSet<&str> = renames.0.keys().map(String::as_str).collect();
    for (new, old) in renames.prefixes() {
        for record in section_records(inventory, &section, scope)? {
            let record = record?;
            let Some(rest) = record.entry.key.strip_prefix(&*old) else {
                continue;
            };
            if rest.rsplit('/').nth(1) == Some(ICEBERG_METADATA) {
                continue;
            }
            let key = Key::parse(&format!("{new}{rest}"))
                .map_err(|error| Error::Invalid(format!("rename: {error}")))?;
            let entry = Entry {
                key,
                ..record.entry
            };
            let moved = Record::new(&section, entry)?;
            if let Some(database) = old.strip_suffix('/') {
                empty.remove(database);
            }
            spool.push(&Record {
                stored_in: record.stored_in,
                stored: record.stored,
                ..moved
            })?;
            written += 1;
        }
    }
    if let Some(name) = empty.first() {
        return Err(Error::Invalid(format!(
            "rename: the backup has no data file of {name:?} to restore"
        )));
    }
    let mut all = 0;
    for record in section_records(inventory, &section, scope)? {
        record?;
        all += 1;
    }
    let inventory = spool.finish()?;
    Ok(Renamed {
        inventory: match has_checksums {
            true => inventory,
            false => inventory.without_checksums(),
        },
        omitted: all - written,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renames(pairs: &[(&str, &str)]) -> Result<Renames> {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Renames::new(pairs.iter().map(owned))
    }

    /// Guards against: a file that is read at the wrong key.
    #[test]
    fn a_path_leads_back_to_the_backup() {
        let all = renames(&[("prod", "a-copy"), ("web", "prod")]).expect("names");
        for (path, expected) in [
            ("data/a-copy/cpu/x.parquet", Some("data/prod/cpu/x.parquet")),
            ("data/prod/cpu/x.parquet", Some("data/web/cpu/x.parquet")),
            (
                "data/_schema/prod/cpu.parquet",
                Some("data/_schema/web/cpu.parquet"),
            ),
            ("data/web/cpu/x.parquet", None),
            ("metadata/arc.db", None),
        ] {
            assert_eq!(all.path_in_backup(path).as_deref(), expected, "{path}");
        }
        assert_eq!(all.to_string(), "prod as a-copy, web as prod");
    }

    #[test]
    fn what_can_be_no_name_is_refused() {
        for (pairs, part) in [
            (&[("a", "_schema")][..], "can't be"),
            (&[("a", "b/c")], "can't be"),
            (&[("a", "..")], "can't be"),
            (&[("a", "")], "can't be"),
            (&[("a", "a")], "already"),
            (&[("a", "c"), ("b", "c")], "two databases"),
            (&[("a", "c"), ("a", "b")], "two new names"),
        ] {
            let said = renames(pairs).expect_err("refused").to_string();
            assert!(said.contains(part), "{pairs:?}: {said}");
        }
        assert!(Renames::parse_pair("a:b").is_ok());
        for text in ["a", "a:", ":b", ""] {
            assert!(Renames::parse_pair(text).is_err(), "{text}");
        }
    }
}
