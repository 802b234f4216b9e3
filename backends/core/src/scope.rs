//! What an operation is about: the whole instance, or a part of it.

use std::collections::BTreeSet;

use crate::{Error, Key, Section};

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

    /// Those that are in both.
    ///
    /// ```
    /// use arc_backup_core::Databases;
    /// let only = |names: &[&str]| Databases::Only(names.iter().map(|&n| n.to_owned()).collect());
    /// assert_eq!(only(&["iot", "web"]).and(&only(&["iot"])), only(&["iot"]));
    /// assert_eq!(only(&["iot"]).and(&Databases::All), only(&["iot"]));
    /// ```
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, other) => other.clone(),
            (one, Self::All) => one.clone(),
            (Self::Only(a), Self::Only(b)) => Self::Only(a & b),
            (Self::Only(a), Self::Except(b)) | (Self::Except(b), Self::Only(a)) => {
                Self::Only(a - b)
            }
            (Self::Except(a), Self::Except(b)) => Self::Except(a | b),
        }
    }

    /// Whether each of the other ones is one of these.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Only(a), Self::Only(b)) => b.is_subset(a),
            (Self::Only(_), Self::All | Self::Except(_)) => false,
            (Self::Except(a), Self::Only(b)) => a.is_disjoint(b),
            (Self::Except(a), Self::Except(b)) => a.is_subset(b),
            (Self::Except(a), Self::All) => a.is_empty(),
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
        of_databases && (self.folders.as_ref()).is_none_or(|folders| folders.iter().any(is_near))
    }

    /// What the keys of data files in scope begin with, in byte order; no prefix begins with
    /// another one. A listing of these finds every file in scope, and may find others.
    #[must_use]
    pub fn data_prefixes(&self) -> Vec<String> {
        let mut all: Vec<String> = match (&self.databases, &self.folders) {
            (Databases::Only(names), _) => (names.iter())
                .filter(|name| !name.is_empty() && !name.contains('/'))
                .flat_map(|name| [format!("{name}/"), format!("{SCHEMAS}/{name}/")])
                .chain([format!("{COMPACTION_STATES}/")])
                .collect(),
            (_, Some(folders)) => folders.iter().map(Key::to_string).collect(),
            (_, None) => vec![String::new()],
        };
        all.sort_unstable();
        all.dedup_by(|next, prefix| next.starts_with(prefix.as_str()));
        all
    }

    /// The same scope, but of the section `data` only what is in these databases too.
    #[must_use]
    pub fn and_databases(mut self, databases: &Databases) -> Self {
        self.databases = self.databases.and(databases);
        self
    }

    /// The same scope without this section. Where it names none, it names data, metadata and
    /// configuration from now on.
    #[must_use]
    pub fn without(mut self, section: &Section) -> Self {
        let all = || BTreeSet::from([Section::Data, Section::Metadata, Section::Config]);
        self.sections.get_or_insert_with(all).remove(section);
        self
    }

    /// Whether each data file that is in the other scope is in this one.
    #[must_use]
    pub fn covers_data_of(&self, other: &Self) -> bool {
        let has = |folders: &BTreeSet<Key>, one: &Key| folders.iter().any(|f| one.is_within(f));
        let folders = match (&self.folders, &other.folders) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(these), Some(others)) => others.iter().all(|one| has(these, one)),
        };
        folders && self.databases.cover(&other.databases)
    }

    /// The folders that the data is limited to; `None` for all of it.
    #[must_use]
    pub fn folders(&self) -> Option<&BTreeSet<Key>> {
        self.folders.as_ref()
    }

    /// Whether no data is out of scope, as far as the section is in it.
    fn has_all_data(&self) -> bool {
        self.folders.is_none() && self.databases == Databases::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

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
        let less = data.without(&Section::Metadata);
        assert!(less.includes(&Section::Data) && !less.includes(&Section::Metadata));
        let less = Scope::whole().without(&Section::Metadata);
        assert!(less.includes(&Section::Config) && !less.includes(&Section::Metadata));
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

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// Guards against: a restore of more than the backup holds, or than the request asked for.
    #[test]
    fn two_choices_of_databases_are_joined_and_compared() {
        let only = |of: &[&str]| Databases::Only(names(of));
        let except = |of: &[&str]| Databases::Except(names(of));
        let all = [
            Databases::All,
            only(&[]),
            only(&["a"]),
            only(&["a", "b"]),
            except(&[]),
            except(&["a"]),
            except(&["b", "c"]),
        ];
        // One that none of them names is as good as all the others together.
        let keys = ["a/x", "b/x", "c/x", "other/x", "x"];
        for one in &all {
            for other in &all {
                let both = one.and(other);
                for key in keys {
                    let expected = one.contain(key) && other.contain(key);
                    assert_eq!(both.contain(key), expected, "{one:?} {other:?} {key}");
                }
                let covers = keys
                    .iter()
                    .all(|key| one.contain(key) || !other.contain(key));
                assert_eq!(one.cover(other), covers, "{one:?} {other:?}");
            }
        }
        let whole = Scope::whole();
        let part = Scope::whole().within([key("iot/cpu")]);
        let wider = Scope::whole().within([key("iot")]);
        assert!(whole.covers_data_of(&part) && !part.covers_data_of(&whole));
        assert!(wider.covers_data_of(&part) && !part.covers_data_of(&wider));
    }

    /// Guards against: a listing that misses files in scope, or that has one twice.
    #[test]
    fn prefixes_reach_every_file_in_scope_once_and_in_order() {
        let whole = Scope::whole();
        assert_eq!(whole.data_prefixes(), [""]);
        let only = |of: &[&str]| Scope::whole().of_databases(Databases::Only(names(of)));
        assert_eq!(
            only(&["b", "b-c", "", "b/c"]).data_prefixes(),
            [
                "_compaction_state/",
                "_schema/b-c/",
                "_schema/b/",
                "b-c/",
                "b/"
            ]
        );
        let except = Scope::whole().of_databases(Databases::Except(names(&["b"])));
        assert_eq!(except.data_prefixes(), [""]);
        let folders = Scope::whole().within([key("b/cpu"), key("b"), key("a")]);
        assert_eq!(folders.data_prefixes(), ["a", "b"]);
        assert!(Scope::whole().within([]).data_prefixes().is_empty());
    }

    /// Guards against: a folder that can't be read, and is taken for one of no importance.
    #[test]
    fn a_folder_is_in_scope_when_a_file_in_it_may_be() {
        let only = Scope::whole().of_databases(Databases::Only(names(&["b"])));
        let within = Scope::whole().within([key("b/cpu")]);
        for (folder, is_in, is_within) in [
            ("", true, true),
            ("b/", true, true),
            ("b/mem/", true, false),
            ("b/cpu/2026/", true, true),
            ("a/", false, false),
            ("_schema/", true, false),
            ("_schema/a/", false, false),
            ("_schema/b/", true, false),
            ("_compaction_state/", true, false),
            ("_compaction_state/daily/", true, false),
            ("_compaction_state/daily/b/", true, false),
            ("_compaction_state/daily/a/", false, false),
        ] {
            assert_eq!(only.contains_data(folder), is_in, "{folder}");
            assert_eq!(within.contains_data(folder), is_within, "{folder}");
        }
    }

    /// Guards against: a restore that can't be done as a folder of another database can't be read,
    /// and one that takes a folder of its own for empty.
    #[test]
    fn only_a_single_place_out_of_scope_is_ignored() {
        let only = Scope::whole().of_databases(Databases::Only(names(&["b"])));
        let fault = |at: &str| Error::new(ErrorKind::PermissionDenied, "list", at, "denied");
        for (at, is_ignored) in [
            ("a/", true),
            ("a/cpu/x.parquet", true),
            ("_compaction_state/daily/a/", true),
            ("_compaction_state/daily/", false),
            ("_schema/", false),
            ("b/cpu/", false),
            ("", false),
        ] {
            assert_eq!(only.ignores(&fault(at).of_one_place()), is_ignored, "{at}");
            assert!(!only.ignores(&fault(at)), "the listing has ended");
        }
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
