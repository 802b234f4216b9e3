//! Labels, notes and pins of backups.

use poem_openapi::Object;

use crate::{operations, repository};

/// That a backup must not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct BackupPin {
    /// Since when, RFC 3339, UTC.
    pub(in crate::api) at: String,
    /// Who pinned it: the name of a token or of a user.
    pub(in crate::api) by: String,
    /// Why.
    pub(in crate::api) reason: Option<String>,
    /// Until when, RFC 3339, UTC; absent: for ever.
    pub(in crate::api) until: Option<String>,
}

impl From<repository::Pin> for BackupPin {
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

/// The labels and the note of a backup after a change.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct Labelled {
    /// The backup.
    pub(in crate::api) backup_id: String,
    /// The targets that hold it, or a leg of it.
    pub(in crate::api) targets: Vec<String>,
    /// Its labels, sorted.
    pub(in crate::api) labels: Vec<String>,
    /// Its note; absent where it has none.
    pub(in crate::api) note: Option<String>,
}

impl From<operations::Labelled> for Labelled {
    fn from(labelled: operations::Labelled) -> Self {
        let operations::Labelled {
            backup_id,
            targets,
            labels,
            note,
        } = labelled;
        Self {
            backup_id,
            targets,
            labels,
            note,
        }
    }
}
