//! The databases of a scope, and the database of a file.

use std::collections::BTreeSet;

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
pub(super) const SCHEMAS: &str = "_schema";
/// The folder of the states of compaction jobs, under the storage root.
pub(super) const COMPACTION_STATES: &str = "_compaction_state";

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
