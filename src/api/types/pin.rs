//! Pins, as answers have them.

use poem_openapi::Object;

use crate::{operations, repository};

/// That a backup must not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct Pin {
    /// Since when, RFC 3339, UTC.
    pub(in crate::api) at: String,
    /// Who pinned it: the name of a token, or a user.
    pub(in crate::api) by: String,
    /// Why.
    pub(in crate::api) reason: Option<String>,
    /// Until when, RFC 3339, UTC; absent: for ever.
    pub(in crate::api) until: Option<String>,
}

impl From<repository::Pin> for Pin {
    fn from(pin: repository::Pin) -> Self {
        let repository::Pin {
            at,
            by,
            reason,
            until,
        } = pin;
        Self {
            at,
            by,
            reason,
            until,
        }
    }
}

/// A backup after it was pinned or unpinned.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct PinnedBackup {
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The targets that hold it, or a leg of it.
    pub(in crate::api) targets: Vec<String>,
    /// Whether it is pinned now.
    pub(in crate::api) locked: bool,
    /// Its pin; absent where it has none.
    pub(in crate::api) pin: Option<Pin>,
}

impl From<operations::PinnedBackup> for PinnedBackup {
    fn from(pinned: operations::PinnedBackup) -> Self {
        let operations::PinnedBackup {
            backup_id,
            targets,
            pin,
        } = pinned;
        Self {
            backup_id,
            targets,
            locked: pin.is_some(),
            pin: pin.map(Into::into),
        }
    }
}
