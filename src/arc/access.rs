//! Whether Arc can be reached, and whether it accepts the token.

use std::fmt;

use super::paths::BACKUP_STATUS;

/// What an Arc that answers says of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The token is an admin's.
    Admin,
    /// No token is needed.
    Open,
    /// A token is needed, and none is configured.
    TokenNeeded,
    /// Arc's own backups are disabled, so that its token check cannot be used.
    NotChecked,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("the token is an admin's"),
            Self::Open => f.write_str("asks for no token"),
            Self::TokenNeeded => f.write_str(
                "asks for a token: over REST the caller's is used, and without `backup.arc_token` a backup from the \
                 command line does not flush",
            ),
            Self::NotChecked => write!(
                f,
                "it answers, but has no {BACKUP_STATUS}: the first backup shows whether it accepts the token"
            ),
        }
    }
}
