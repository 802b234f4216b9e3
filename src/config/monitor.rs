//! The monitoring token.

use super::placeholder::is_placeholder;
use super::values::Values;
use crate::{Error, Result};

/// The least length of a monitoring token in bytes: a shorter one can be guessed.
const LEAST: usize = 16;

/// The token that may ask whether the backups are in order: `arc_backup.monitor_token`, or
/// `backup.monitor_token`.
pub(super) fn monitor_token(values: &Values) -> Result<Option<String>> {
    for key in ["arc_backup.monitor_token", "backup.monitor_token"] {
        // `${…}` of a restored file is no token: everybody can know it.
        let is_set = |token: &String| !token.is_empty() && !is_placeholder(token);
        match values.text(key)?.filter(is_set) {
            Some(token) if token.len() < LEAST => {
                return Err(Error::Config(format!(
                    "`{key}` must have at least {LEAST} characters: use a random text"
                )));
            }
            Some(token) => return Ok(Some(token)),
            None => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a token that can be guessed, or is in the documentation.
    #[test]
    fn the_token_has_two_places_and_a_least_length() {
        for (text, token) in [
            ("", Ok(None)),
            ("[arc_backup]\nmonitor_token = \"\"", Ok(None)),
            (
                "[arc_backup]\nmonitor_token = \"${ARC_BACKUP_MONITOR_TOKEN}\"",
                Ok(None),
            ),
            (
                "[arc_backup]\nmonitor_token = \"a-long-random-text\"",
                Ok(Some("a-long-random-text")),
            ),
            (
                "[backup]\nmonitor_token = \"another-random-text\"",
                Ok(Some("another-random-text")),
            ),
            ("[arc_backup]\nmonitor_token = \"short\"", Err(())),
            ("[arc_backup]\nmonitor_token = 5", Err(())),
        ] {
            let values = Values::parse(text, "arc.toml", []).expect("valid TOML");
            let read = monitor_token(&values).map_err(drop);
            assert_eq!(read, token.map(|token| token.map(str::to_owned)), "{text}");
        }
    }
}
