//! What an operation is about: the whole instance, or a part of it.

use std::collections::BTreeSet;

use crate::{Key, Section};

/// The part of an instance that a backup, a restore, a verification or a comparison is about.
///
/// [`contains`](Scope::contains) is the one place that decides. What is out of scope is never
/// listed as extra, never set aside and never removed.
///
/// A scope limits the sections, and within the section `data` the databases and the folders.
/// Measurements, globs over paths and ranges of time are not part of it yet.
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
}

/// Which databases are in a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Databases {
    /// All of them, and files that belong to no database.
    #[default]
    All,
    /// These, and nothing that belongs to no database.
    Only(BTreeSet<String>),
    /// All but these, and files that belong to no database.
    Except(BTreeSet<String>),
}

impl Databases {
    /// Whether the data file at `key` belongs to one of them.
    #[must_use]
    pub fn contain(&self, key: &str) -> bool {
        let is_named = |names: &BTreeSet<String>| {
            database_of(key).is_some_and(|database| names.contains(database))
        };
        match self {
            Self::All => true,
            Self::Only(names) => is_named(names),
            Self::Except(names) => !is_named(names),
        }
    }
}

/// The folder of the anchors of schemas, under the storage root.
const SCHEMAS: &str = "_schema";
/// The folder of the states of compaction jobs, under the storage root.
const COMPACTION_STATES: &str = "_compaction_state";

/// The database that the data file at `key` belongs to: the first segment of its path, or, of a
/// companion, the segment that names it. `None` for a file of no database.
///
/// ```
/// use arc_backup_core::database_of;
/// assert_eq!(database_of("iot/cpu/2026/01/02/03/a.parquet"), Some("iot"));
/// assert_eq!(database_of("_schema/iot/cpu.parquet"), Some("iot"));
/// assert_eq!(database_of("_compaction_state/hourly/iot/x.json"), Some("iot"));
/// assert_eq!(database_of("_schema/cpu.parquet"), None);
/// assert_eq!(database_of("a.parquet"), None);
/// ```
#[must_use]
pub fn database_of(key: &str) -> Option<&str> {
    let mut segments = key.split('/');
    let name = match segments.next()? {
        SCHEMAS => segments.next()?,
        COMPACTION_STATES => segments.nth(1)?,
        first => first,
    };
    // The last segment is the name of the file.
    segments.next().map(|_| name)
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
        self.includes(section)
            && (*section != Section::Data
                || (self.databases.contain(key)
                    && (self.folders.as_ref())
                        .is_none_or(|folders| folders.iter().any(|folder| key.is_within(folder)))))
    }

    /// Whether no data is out of scope, as far as the section is in it.
    fn has_all_data(&self) -> bool {
        self.folders.is_none() && self.databases == Databases::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).expect("valid")
    }

    fn other() -> Section {
        Section::Other("iceberg".to_owned())
    }

    #[test]
    fn the_whole_holds_everything() {
        let whole = Scope::whole();
        assert!(whole.is_whole());
        for section in [Section::Data, Section::Metadata, Section::Config, other()] {
            assert!(whole.includes(&section));
            assert!(whole.contains(&section, &key("a/b")));
        }
        assert!(!Scope::of_sections([Section::Data]).is_whole());
        assert!(!Scope::whole().within([key("a")]).is_whole());
    }

    #[test]
    fn a_third_partys_section_goes_with_the_data() {
        let data = Scope::of_sections([Section::Data, Section::Metadata]);
        assert!(data.contains(&other(), &key("a")));
        assert!(!data.includes(&Section::Config));
        assert!(!Scope::of_sections([Section::Metadata]).includes(&other()));
        assert!(Scope::of_sections([other()]).includes(&other()));
    }

    #[test]
    fn databases_come_with_their_companions_and_nothing_else() {
        let named = || BTreeSet::from(["iot".to_owned(), "spoke1".to_owned()]);
        let only = Scope::whole().of_databases(Databases::Only(named()));
        let except = Scope::whole().of_databases(Databases::Except(named()));
        for (at, expected) in [
            ("iot/cpu/2026/a.parquet", true),
            ("iot/a.parquet", true),
            ("iot", false),
            ("iot2/cpu/a.parquet", false),
            ("spoke1/telemetry/cpu/a.parquet", true),
            ("_schema/iot/cpu.parquet", true),
            ("_schema/cpu.parquet", false),
            ("_schema/web/iot.parquet", false),
            ("_compaction_state/daily/iot/a.json", true),
            ("_compaction_state/iot/web/a.json", false),
            ("_compaction_state/iot/a.json", false),
        ] {
            assert_eq!(only.contains(&Section::Data, &key(at)), expected, "{at}");
            assert_eq!(except.contains(&Section::Data, &key(at)), !expected, "{at}");
        }
        assert!(only.contains(&Section::Metadata, &key("arc.db")));
        assert!(!only.includes(&other()) && !except.includes(&other()));
        assert!(!only.is_whole());
    }

    #[test]
    fn folders_limit_the_data_alone() {
        let scope = Scope::whole().within([key("iot"), key("web/hits")]);
        for (at, expected) in [
            ("iot/cpu/a.parquet", true),
            ("iot", true),
            ("iot2/cpu/a.parquet", false),
            ("web/hits/a.parquet", true),
            ("web/errors/a.parquet", false),
        ] {
            assert_eq!(scope.contains(&Section::Data, &key(at)), expected, "{at}");
        }
        assert!(scope.contains(&Section::Metadata, &key("arc.db")));
        assert!(!scope.includes(&other()), "whose files are unknown");
        let named = Scope::of_sections([Section::Data, other()]).within([key("iot")]);
        assert!(named.contains(&other(), &key("x")));
        let nothing = Scope::whole().within([]);
        assert!(!nothing.contains(&Section::Data, &key("iot/a")));
    }
}
