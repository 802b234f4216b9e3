//! One item of what is included or excluded: a database, a measurement, a glob over paths.

use std::fmt;

use super::databases::{COMPACTION_STATES, SCHEMAS, database_of};
use super::pattern::Pattern;
use super::place::{Kind, Place};
use super::time_range::TimeRange;
use crate::Key;

/// What to include or to exclude: `iot`, `iot.temperature`, or a glob over paths with a `/`.
///
/// | item | what it selects |
/// |---|---|
/// | `iot`, `io*` | databases: the first folder of their files |
/// | `iot.temperature`, `*.cpu` | measurements of databases; both sides take globs |
/// | `iot/temperature/2026/**` | the files whose path under the storage root it matches |
/// | `iot/temperature/` | the same as `iot/temperature/**` |
///
/// Globs know `*`, `?`, `[a-z]`, `{a,b}` and, over paths, `**`. No `*` matches a `/`. A database
/// that was synced from an edge node holds a slash: its measurements are selected by a path
/// (`rocket-01/telemetry/cpu/**`), or all together as the database `rocket-01`.
///
/// Companions follow: with a database, a measurement and a glob that ends in `/**` come the anchors
/// of the schemas, and the states of compaction jobs, of the measurements that lie in it. Where the
/// name of a state does not say which measurement it is of, it is neither included nor spared by an
/// item of measurements: Arc deletes files by it.
///
/// ```
/// use arc_backup_core::Selector;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let selector: Selector = "iot.temperature".parse()?;
/// assert!(selector.selects("iot/temperature/2026/11/20/05/a.parquet"));
/// assert!("iot.[".parse::<Selector>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    text: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Databases(Pattern),
    Measurements {
        database: Pattern,
        measurement: Pattern,
    },
    Paths {
        paths: Pattern,
        /// The folders of which it takes everything.
        folders: Option<Pattern>,
    },
}

/// A text that is no [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{item:?} {reason}")]
pub struct InvalidSelector {
    item: String,
    reason: String,
}

/// Whether a file is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Yes,
    No,
    /// A state of a compaction job that may be of a measurement that is.
    Unknown,
}

impl From<bool> for Match {
    fn from(is_match: bool) -> Self {
        if is_match { Self::Yes } else { Self::No }
    }
}

impl std::str::FromStr for Selector {
    type Err = InvalidSelector;

    /// # Errors
    /// [`InvalidSelector`] says what is wrong with the item.
    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let what = What::parse(text).map_err(|reason| InvalidSelector {
            item: text.chars().take(200).collect(),
            reason,
        })?;
        Ok(Self {
            text: text.to_owned(),
            what,
        })
    }
}

impl What {
    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(
                "is empty: name a database (iot), a measurement (iot.cpu) or a path (iot/cpu/**)"
                    .to_owned(),
            );
        }
        if text.len() > Key::MAX_BYTES {
            return Err(format!("is longer than {} bytes", Key::MAX_BYTES));
        }
        if text.chars().any(|c| c.is_ascii_control()) {
            return Err("contains a control character".to_owned());
        }
        let bad = |error| format!("is no valid glob: {error}");
        if text.contains('/') {
            if text.starts_with('/') {
                return Err(
                    "begins with `/`: paths are those under the storage root, such as iot/cpu/**"
                        .to_owned(),
                );
            }
            let text = match text.ends_with('/') {
                true => format!("{text}**"),
                false => text.to_owned(),
            };
            let folders = text.strip_suffix("/**").map(Pattern::parse);
            return Ok(Self::Paths {
                folders: folders.transpose().map_err(bad)?,
                paths: Pattern::parse(&text).map_err(bad)?,
            });
        }
        let Some((database, measurement)) = text.split_once('.') else {
            return Ok(Self::Databases(Pattern::parse(text).map_err(bad)?));
        };
        for (part, what) in [(database, "database"), (measurement, "measurement")] {
            if part.is_empty() {
                return Err(format!("names no {what}: write database.measurement"));
            }
        }
        Ok(Self::Measurements {
            database: Pattern::parse(database).map_err(bad)?,
            measurement: Pattern::parse(measurement).map_err(bad)?,
        })
    }
}

impl Selector {
    /// Whether it names databases or measurements, and not paths.
    #[must_use]
    pub fn is_of_names(&self) -> bool {
        !matches!(self.what, What::Paths { .. })
    }

    /// Whether it selects this measurement of the database, or at least some of it. Of one of paths
    /// that is not known, and `true`.
    #[must_use]
    pub fn may_select(&self, database: &str, measurement: &str) -> bool {
        match &self.what {
            What::Databases(name) => name.matches(first_folder(database)),
            What::Measurements {
                database: of,
                measurement: name,
            } => of.matches_name(database) && name.matches_name(measurement),
            What::Paths { .. } => true,
        }
    }

    /// Whether it selects measurements of this database, or may. Of one of paths that is not known,
    /// and `true`.
    #[must_use]
    pub fn may_select_in(&self, database: &str) -> bool {
        match &self.what {
            What::Databases(name) => name.matches(first_folder(database)),
            What::Measurements { database: of, .. } => of.matches_name(database),
            What::Paths { .. } => true,
        }
    }

    /// The names of the database and of the measurement that it is of, where they are no globs.
    #[must_use]
    pub fn names(&self) -> (Option<&str>, Option<&str>) {
        match &self.what {
            What::Databases(name) => (name.literal(), None),
            What::Measurements {
                database,
                measurement,
            } => (database.literal(), measurement.literal()),
            What::Paths { .. } => (None, None),
        }
    }

    /// Whether the data file at `path` is selected for sure.
    #[must_use]
    pub fn selects(&self, path: &str) -> bool {
        self.decide(path, &Place::of(path)) == Match::Yes
    }

    pub(super) fn decide(&self, path: &str, place: &Place<'_>) -> Match {
        match &self.what {
            What::Databases(name) => database_of(path)
                .is_some_and(|database| name.matches(database))
                .into(),
            What::Measurements {
                database,
                measurement,
            } => match (place.database, place.measurement) {
                (Some(of), Some(name)) => {
                    (database.matches_name(of) && measurement.matches_name(name)).into()
                }
                (Some(of), None) if place.kind == Kind::JobState && database.matches_name(of) => {
                    match measurement.is_any() {
                        true => Match::Yes,
                        false => Match::Unknown,
                    }
                }
                _ => Match::No,
            },
            What::Paths { paths, folders } => match folders {
                _ if paths.matches(path) => Match::Yes,
                None => Match::No,
                Some(folders) => match place.companion_of() {
                    Some(folder) => folders.matches_above(&folder).into(),
                    None if place.kind == Kind::JobState => {
                        let database = place.database.unwrap_or_default();
                        match folders.matches_above(database) {
                            true => Match::Yes,
                            false => Match::Unknown,
                        }
                    }
                    None => Match::No,
                },
            },
        }
    }

    /// Whether a file in the folder may be selected; its path ends in `/`, or is empty.
    pub(super) fn reaches(&self, folder: &str) -> bool {
        let mut segments = folder.split_terminator('/');
        let (first, at) = (segments.next(), |at| folder.split_terminator('/').nth(at));
        let is_near = |prefix: &str| prefix.starts_with(folder) || folder.starts_with(prefix);
        let (database, measurement) = match first {
            Some(SCHEMAS) => (at(1), None),
            Some(COMPACTION_STATES) => (at(2), None),
            _ => (first, at(1)),
        };
        let is_companion = matches!(first, Some(SCHEMAS | COMPACTION_STATES));
        match &self.what {
            What::Databases(name) => database.is_none_or(|database| name.matches(database)),
            // The name of a database without a slash is the first folder, and its measurements are
            // the second ones.
            What::Measurements {
                database: of,
                measurement: name,
            } => {
                database.is_none_or(|database| of.matches(database))
                    && measurement.is_none_or(|measurement| name.matches(measurement))
            }
            What::Paths { paths, folders } => {
                is_near(paths.prefix()) || (is_companion && folders.is_some())
            }
        }
    }

    /// Whether every file in the folder is selected; `false` where that is not sure.
    pub(super) fn takes_all_of(&self, folder: &str) -> bool {
        let folder = folder.trim_end_matches('/');
        match &self.what {
            What::Databases(name) => {
                database_of(&format!("{folder}/x")).is_some_and(|database| name.matches(database))
            }
            What::Measurements { .. } => false,
            What::Paths { folders, .. } => {
                !folder.is_empty()
                    && (folders.as_ref()).is_some_and(|folders| folders.matches_above(folder))
            }
        }
    }

    /// Whether it selects all that the other one does; `false` where that is not sure.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (&self.what, &other.what) {
            (What::Databases(one), What::Databases(other)) => one.covers(other),
            (What::Databases(one), What::Measurements { database, .. }) => one.covers(database),
            (
                What::Measurements {
                    database,
                    measurement,
                },
                What::Measurements {
                    database: others_database,
                    measurement: others_measurement,
                },
            ) => database.covers(others_database) && measurement.covers(others_measurement),
            (one, other) => one == other,
        }
    }

    /// What the paths of the files that it selects begin with.
    pub(super) fn prefixes(&self, time: &TimeRange) -> Vec<String> {
        let companions = |of: &str| [format!("{SCHEMAS}/{of}"), format!("{COMPACTION_STATES}/")];
        match &self.what {
            What::Databases(name) => {
                let slash = if name.literal().is_some() { "/" } else { "" };
                let prefix = format!("{}{slash}", name.prefix());
                companions(&prefix).into_iter().chain([prefix]).collect()
            }
            What::Measurements {
                database,
                measurement,
            } => {
                let Some(database) = database.literal() else {
                    let prefix = database.prefix().to_owned();
                    return companions(&prefix).into_iter().chain([prefix]).collect();
                };
                let prefix = format!("{database}/{}", measurement.prefix());
                if measurement.literal().is_none() {
                    return companions(&prefix).into_iter().chain([prefix]).collect();
                }
                let folders = match time.folders() {
                    none if none.is_empty() => vec![format!("{prefix}/")],
                    days => days.iter().map(|day| format!("{prefix}/{day}")).collect(),
                };
                folders.into_iter().chain(companions(&prefix)).collect()
            }
            What::Paths { paths, folders } => {
                let prefix = paths.prefix().to_owned();
                match folders {
                    None => vec![prefix],
                    Some(folders) => {
                        // The anchor of a measurement that lies in the folder, or is it.
                        let of = folders.prefix().trim_end_matches('/');
                        companions(of).into_iter().chain([prefix]).collect()
                    }
                }
            }
        }
    }
}

/// The first folder of a database's files, by which Arc counts databases.
fn first_folder(database: &str) -> &str {
    database.split('/').next().unwrap_or(database)
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
