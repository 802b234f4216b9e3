//! A text that must not be seen.

use std::fmt;

/// A token on its way to where it is needed: neither a log nor an answer shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from sight.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for a header.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost otherwise: an admin's token, to whatever log prints what holds it.
    #[test]
    fn debug_shows_nothing() {
        let text = format!("{:?}", Some(Secret::new("hush")));
        assert!(!text.contains("hush") && text.contains("redacted"));
    }
}
