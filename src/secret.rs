//! A text that no log and no answer shows.

use std::fmt;

/// A token on its way to the place that needs it. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of logs.
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

    /// Guards against: an admin's token in a log that prints the struct around it.
    #[test]
    fn debug_shows_nothing() {
        let text = format!("{:?}", Some(Secret::new("hush")));
        assert!(!text.contains("hush") && text.contains("redacted"));
    }
}
