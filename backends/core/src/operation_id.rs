//! The ids of operations, as sinks use them in names.

use std::fmt;
use std::ops::Deref;

use crate::{Error, ErrorKind};

/// The id of an operation: `20260211-143022-5f0c1d2e`.
///
/// Sinks put it into the names of files and folders: what an operation stages, sets aside or holds
/// as a snapshot lies under its id. It is validated once, when it is made, so that no sink has to
/// ask again whether it leads out of its place: 1 to [`OperationId::MAX_BYTES`] ASCII letters,
/// digits and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(Box<str>);

impl OperationId {
    /// The longest id, in bytes: with what a sink adds to it, it still is the name of a file.
    pub const MAX_BYTES: usize = 128;

    /// Checks `text` and makes an id of it.
    ///
    /// # Errors
    /// [`InvalidOperationId`] when the text is empty, too long or has other characters.
    pub fn parse(text: &str) -> Result<Self, InvalidOperationId> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || text.len() > Self::MAX_BYTES || !text.bytes().all(is_allowed) {
            return Err(InvalidOperationId {
                text: text.chars().take(200).collect(),
            });
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for OperationId {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<&str> for OperationId {
    type Error = InvalidOperationId;
    fn try_from(text: &str) -> Result<Self, InvalidOperationId> {
        Self::parse(text)
    }
}

/// A text that is not an [`OperationId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the id of an operation: letters, digits and `-` only, at most 128")]
pub struct InvalidOperationId {
    text: String,
}

impl InvalidOperationId {
    /// The error of a call that was given this text.
    #[must_use]
    pub fn into_error(self) -> Error {
        let detail = self.to_string();
        Error::new(ErrorKind::Invalid, "use", self.text.as_str(), detail).with_source(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_name_in_every_store() {
        for good in ["20260211-143022-5f0c1d2e", "a", "A-1"] {
            let id = OperationId::parse(good).expect("valid");
            assert_eq!((id.as_str(), id.to_string()), (good, good.to_owned()));
        }
        let long = "a".repeat(OperationId::MAX_BYTES + 1);
        for bad in ["", ".", "..", "a/b", "a_b", "a b", "ä", "a\0", &long] {
            assert!(OperationId::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
