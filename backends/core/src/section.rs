//! Sections: the parts that every backup is divided into.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Key;

/// A part of a backup: the folder under which a [`Source`](crate::Source) has its entries.
///
/// Sections order by their folders (`data/`), which is the order of an inventory: its lines are
/// sorted by path, and a path begins with the section. [`backup_order`](Section::backup_order) and
/// [`restore_order`](Section::restore_order) are the orders in which operations take them.
///
/// In JSON a section is its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Section {
    /// `data`: Parquet files and what lies beside them.
    Data,
    /// `metadata`: the SQLite databases.
    Metadata,
    /// `config`: `arc.toml`.
    Config,
    /// The section of a third party's source, by its name: one segment of a [`Key`].
    /// [`Section::parse`] makes one that is valid.
    Other(String),
}

impl Section {
    /// Makes a section of its name.
    ///
    /// # Errors
    /// [`InvalidSection`] when the name is not one segment of a [`Key`].
    pub fn parse(name: &str) -> Result<Self, InvalidSection> {
        match name {
            "data" => Ok(Self::Data),
            "metadata" => Ok(Self::Metadata),
            "config" => Ok(Self::Config),
            _ if name.contains('/') || Key::parse(name).is_err() => Err(InvalidSection {
                name: name.chars().take(200).collect(),
            }),
            _ => Ok(Self::Other(name.to_owned())),
        }
    }

    /// Its name: the first segment of the paths in an inventory.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Data => "data",
            Self::Metadata => "metadata",
            Self::Config => "config",
            Self::Other(name) => name,
        }
    }

    /// Its rank in a backup: databases before the files that they refer to; the configuration last.
    #[must_use]
    pub fn backup_order(&self) -> u8 {
        match self {
            Self::Metadata => 0,
            Self::Data => 1,
            Self::Other(_) => 2,
            Self::Config => 3,
        }
    }

    /// Its rank in a restore: files before the databases that refer to them; the configuration
    /// last.
    #[must_use]
    pub fn restore_order(&self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Other(_) => 1,
            Self::Metadata => 2,
            Self::Config => 3,
        }
    }
}

impl Ord for Section {
    fn cmp(&self, other: &Self) -> Ordering {
        // By what paths begin with: `data-old/` comes before `data/`.
        let folder = |section| Self::as_str(section).bytes().chain(*b"/");
        folder(self).cmp(folder(other))
    }
}

impl PartialOrd for Section {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Section {
    type Err = InvalidSection;
    fn from_str(name: &str) -> Result<Self, InvalidSection> {
        Self::parse(name)
    }
}

impl TryFrom<String> for Section {
    type Error = InvalidSection;
    fn try_from(name: String) -> Result<Self, InvalidSection> {
        Self::parse(&name)
    }
}

impl From<Section> for String {
    fn from(section: Section) -> Self {
        match section {
            Section::Other(name) => name,
            known => known.as_str().to_owned(),
        }
    }
}

/// A text that does not name a [`Section`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a section: a section is one segment of a key")]
pub struct InvalidSection {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Section> {
        ["metadata", "iceberg", "data", "config"]
            .map(|name| Section::parse(name).expect("valid"))
            .into()
    }

    fn names(sections: &[Section]) -> Vec<&str> {
        sections.iter().map(Section::as_str).collect()
    }

    #[test]
    fn a_name_and_its_section_are_one() {
        for section in all() {
            assert_eq!(section.to_string().parse(), Ok(section.clone()));
            let json = serde_json::to_string(&section).expect("it can be written");
            assert_eq!(json, format!("\"{section}\""));
            assert_eq!(
                serde_json::from_str::<Section>(&json).expect("it can be read"),
                section
            );
        }
        for bad in ["", "a/b", "..", "a\\b", "/"] {
            assert!(Section::parse(bad).is_err(), "{bad:?} was taken");
            let json = serde_json::to_string(bad).expect("a text");
            assert!(serde_json::from_str::<Section>(&json).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn databases_are_copied_first_and_put_back_after_the_files() {
        let mut sections = all();
        sections.sort();
        assert_eq!(names(&sections), ["config", "data", "iceberg", "metadata"]);
        let old = Section::Other("data-old".to_owned());
        assert!(old < Section::Data, "as their folders in an inventory");
        sections.sort_by_key(Section::backup_order);
        assert_eq!(names(&sections), ["metadata", "data", "iceberg", "config"]);
        sections.sort_by_key(Section::restore_order);
        assert_eq!(names(&sections), ["data", "iceberg", "metadata", "config"]);
    }
}
