//! The part of the data that a restore or a verification is limited to.

use poem_openapi::Object;

use crate::operations::DataSelection;

/// A part of the data, in a request: what is included, without what is excluded, of a range of
/// time. An empty one is everything.
///
/// An item is a database (`iot`), a measurement (`iot.cpu`) or a glob over the paths under the
/// storage root (`iot/cpu/2026/**`); names take globs too. A time is a date (its first second), RFC
/// 3339, or an age such as `2d` or `2 days ago`; UTC where it has no offset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
#[oai(deny_unknown_fields)]
pub(in crate::api) struct DataScope {
    /// What is included. Default: everything.
    pub(in crate::api) include: Option<Vec<String>>,
    /// What of this is excluded. Default: nothing.
    pub(in crate::api) exclude: Option<Vec<String>>,
    /// When the range of time begins; it is taken in full hours.
    pub(in crate::api) from: Option<String>,
    /// When it has ended: `2026-11-21` is all that is before that day.
    pub(in crate::api) until: Option<String>,
}

impl From<DataScope> for DataSelection {
    fn from(scope: DataScope) -> Self {
        let DataScope {
            include,
            exclude,
            from,
            until,
        } = scope;
        Self {
            include: include.unwrap_or_default(),
            exclude: exclude.unwrap_or_default(),
            from,
            until,
        }
    }
}

/// The part of the data that an operation is limited to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct SelectedData {
    /// Databases, measurements and globs over paths; absent where everything is included.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) include: Vec<String>,
    /// What of this is excluded.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) exclude: Vec<String>,
    /// When the range of time begins, RFC 3339.
    pub(in crate::api) from: Option<String>,
    /// When it has ended, RFC 3339.
    pub(in crate::api) until: Option<String>,
}

impl From<DataSelection> for SelectedData {
    fn from(selection: DataSelection) -> Self {
        let DataSelection {
            include,
            exclude,
            from,
            until,
        } = selection;
        Self {
            include,
            exclude,
            from,
            until,
        }
    }
}
