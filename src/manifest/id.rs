//! Backup ids.

use std::fmt;

use jiff::Timestamp;

use crate::{Error, Result};

/// The id of a backup: `backup-YYYYMMDD-HHMMSS-xxxxxxxx`, the time in UTC, then eight random hex
/// digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupId(String);

impl BackupId {
    /// A new id for a backup that begins at `now`.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn new(now: Timestamp) -> Result<Self> {
        let random = crate::random::random_hex::<4>()?;
        Ok(Self(format!(
            "backup-{}-{random}",
            now.strftime("%Y%m%d-%H%M%S")
        )))
    }

    /// Checks the form.
    ///
    /// # Errors
    /// [`Error::InvalidId`].
    pub fn parse(text: &str) -> Result<Self> {
        let matches = |pattern: &[u8]| {
            text.len() == pattern.len()
                && text.bytes().zip(pattern).all(|(byte, kind)| match kind {
                    b'0' => byte.is_ascii_digit(),
                    b'x' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                    other => byte == *other,
                })
        };
        // 'x' is in no fixed part of the form.
        if matches(b"backup-00000000-000000-xxxxxxxx") {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::InvalidId(text.chars().take(100).collect()))
        }
    }

    /// The moment that it names, to the second; `None` where it is none: `backup-99999999-…`.
    #[must_use]
    pub fn moment(&self) -> Option<Timestamp> {
        let named = self.0.get("backup-".len()..)?.get(..15)?;
        let moment = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", named).ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(moment).ok()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id is a folder's name: one with a slash in it would be a path.
    #[test]
    fn only_the_exact_form_is_an_id() {
        assert!(BackupId::parse("backup-20260211-143022-a1b2c3d4").is_ok());
        for bad in [
            "",
            "backup",
            "backup-20260211-143022-a1b2c3dG",
            "backup-20260211-143022-A1B2C3D4",
            "backup-20260211-143022-a1b2c3d4/",
            "../backup-20260211-143022-a1b2c3d4",
            "backup-2026021-143022-a1b2c3d4",
            "backup-20260211-143022-a1b2c3d45",
            "backup-２0260211-143022-a1b2c3d",
        ] {
            assert!(BackupId::parse(bad).is_err(), "{bad:?} was taken");
        }
        let made = BackupId::new(Timestamp::now()).expect("random numbers");
        assert!(BackupId::parse(made.as_str()).is_ok());
    }
}
