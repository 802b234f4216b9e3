//! Keys: the names of objects in a sink.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// The name of an object in a sink, or of a folder of objects: `iot/cpu/2026/11/20/a.parquet`.
///
/// Validated once, when it is made, so that no code behind it has to ask again whether a name leads
/// out of its root: a key is relative, UTF-8, at most [`Key::MAX_BYTES`] long, and has no empty
/// segment, no `.` or `..` segment, no backslash, no NUL and no other control character.
///
/// Keys order by their bytes, which is the order that every listing uses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

impl Key {
    /// The longest key, in bytes: what S3 and Azure Blob Storage both take.
    pub const MAX_BYTES: usize = 1024;

    /// Checks `text` and makes a key of it.
    ///
    /// # Errors
    /// [`InvalidKey`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let fault = |reason| {
            Err(InvalidKey {
                key: text.chars().take(200).collect(),
                reason,
            })
        };
        if text.is_empty() {
            return fault("is empty");
        }
        if text.len() > Self::MAX_BYTES {
            return fault("is longer than 1024 bytes");
        }
        if text.starts_with('/') {
            return fault("is absolute");
        }
        if text.contains('\\') {
            return fault("contains a backslash");
        }
        if text.chars().any(|c| c.is_ascii_control()) {
            return fault("contains a control character");
        }
        for segment in text.split('/') {
            match segment {
                "" => return fault("has an empty segment"),
                "." | ".." => return fault("has a `.` or `..` segment"),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of `name` in the folder that this key names.
    ///
    /// # Errors
    /// As [`Key::parse`] of the two joined by `/`.
    pub fn join(&self, name: &str) -> Result<Self, InvalidKey> {
        Self::parse(&format!("{}/{name}", self.0))
    }

    /// The last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether this key lies in the folder `folder` (or is it).
    #[must_use]
    pub fn is_within(&self, folder: &str) -> bool {
        self.0
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Deref for Key {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<&str> for Key {
    type Error = InvalidKey;
    fn try_from(text: &str) -> Result<Self, InvalidKey> {
        Self::parse(text)
    }
}

/// A text that is no [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key {key:?} {reason}")]
pub struct InvalidKey {
    key: String,
    reason: &'static str,
}

impl InvalidKey {
    /// Which rule is broken.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_whatever_could_lead_out_of_the_root() {
        for bad in [
            "", "/", "/a", "a//b", "a/", "..", "a/../b", ".", "a/./b", "a\\b", "a\0b", "a\nb",
            "\u{7f}",
        ] {
            assert!(Key::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(Key::parse(&"a".repeat(1025)).is_err());
    }

    #[test]
    fn takes_what_arc_writes() {
        for good in [
            "iot/cpu/2026/11/20/00/cpu_20261120_000000_1.parquet",
            "_compaction_state/hourly/db/x_1.json",
            "a..b",
            ".hidden",
            "größe/ü",
            "a b",
        ] {
            assert_eq!(Key::parse(good).map(|k| k.to_string()).as_deref(), Ok(good));
        }
    }

    #[test]
    fn within_means_whole_segments() {
        let key = Key::parse("data/a").expect("valid");
        assert!(key.is_within("data"));
        assert!(!key.is_within("dat"));
    }
}
