//! What the footer of a data file says of its rows, and what may be wrong with it.

use std::fmt;

/// The rows of a data file, by its footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// How many.
    pub count: u64,
    /// Of which time they are; `None` where the footer has no statistics of the column `time`.
    pub times: Option<RowTimes>,
}

/// The time of some rows, in whole seconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowTimes {
    /// That of the earliest row, rounded down.
    pub min: i64,
    /// That of the latest row, rounded up.
    pub max: i64,
}

/// What is wrong with a data file as Arc has it: a copy of it is as damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceDamage {
    /// It has no bytes.
    Empty,
    /// It does not begin as a Parquet file does.
    NotParquet,
    /// It begins as a Parquet file and does not end as one.
    Torn,
    /// Its footer can't be read.
    BadFooter,
    /// Its footer is encrypted: whether it is whole is not known.
    EncryptedFooter,
}

impl SourceDamage {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Empty,
        Self::NotParquet,
        Self::Torn,
        Self::BadFooter,
        Self::EncryptedFooter,
    ];

    /// Its name in an inventory and in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotParquet => "not-parquet",
            Self::Torn => "torn",
            Self::BadFooter => "bad-footer",
            Self::EncryptedFooter => "encrypted-footer",
        }
    }

    /// The damage of this name; `None` for a name that this release does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

impl fmt::Display for SourceDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "has no bytes",
            Self::NotParquet => "is not a Parquet file",
            Self::Torn => "is torn: it does not end as a Parquet file does",
            Self::BadFooter => "has a footer that can't be read",
            Self::EncryptedFooter => "has an encrypted footer: it can't be checked",
        })
    }
}
