//! Why a backup cannot be read.

use arc_backup_core::ErrorKind;

/// Why a backup cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadableState {
    /// Its manifest or inventory lies in an archive tier.
    Archived,
    /// The right to read it is missing.
    Denied,
}

impl UnreadableState {
    /// The state of a backup whose reading failed with this error; `None` for any other error.
    pub(crate) fn from_error(error: &arc_backup_core::Error) -> Option<Self> {
        match error.kind() {
            ErrorKind::Archived => Some(Self::Archived),
            ErrorKind::PermissionDenied => Some(Self::Denied),
            _ => None,
        }
    }

    /// The word that JSON has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Denied => "denied",
        }
    }
}
