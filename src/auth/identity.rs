//! Whose token it is, or why a request is refused.

/// The holder of an accepted token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The token's name in Arc's database; `bootstrap`, `generated`, `monitor` or
    /// `anonymous` where it has none there.
    pub name: String,
    /// SHA-256 of the token; zero when authentication is off. It recognises the token that started
    /// an operation later on, without keeping the token.
    pub fingerprint: [u8; 32],
}

impl Identity {
    /// The identity of every request while authentication is off.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "anonymous".to_owned(),
            fingerprint: [0; 32],
        }
    }
}

/// Why a request is refused.
///
/// `Display` is Arc's text for the case, to be sent as it is: it is part of the HTTP contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The request carries no token.
    #[error("Authentication required")]
    Missing,
    /// The token is unknown, wrong, disabled or expired, or could not be checked: which, is not
    /// said.
    #[error("Invalid or expired token")]
    Invalid,
    /// The token is good, but without the `admin` permission. The identity is its holder's, for a
    /// caller that has something to show to any holder of a good token.
    #[error("Permission denied: admin required")]
    NotAdmin(Identity),
    /// The token is good, but without the `read` permission, which is all that was asked of it.
    #[error("Permission denied: read required")]
    NotReader(Identity),
}

impl Denied {
    /// The HTTP status of the refusal: 401, or 403 for a good token without the permission.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Missing | Self::Invalid => 401,
            Self::NotAdmin(_) | Self::NotReader(_) => 403,
        }
    }
}
