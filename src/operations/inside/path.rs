//! Paths in a backup, as people name them.

use arc_backup_core::Key;

use crate::{Error, Result};

/// The path of a file: `data/iot/cpu/…`.
///
/// # Errors
/// [`Error::Invalid`] says which rule of keys the text breaks.
pub(super) fn file(text: &str) -> Result<Key> {
    Key::parse(text).map_err(|fault| {
        let shown: String = text.chars().take(200).collect();
        Error::Invalid(format!(
            "{shown:?} is no path in a backup: it {}; a path is that of a file below a section, such as data/iot/cpu/a.parquet",
            fault.reason()
        ))
    })
}

/// The path of a file or folder, which may end with `/`; `None` for the backup itself.
///
/// # Errors
/// As [`file`].
pub(super) fn folder(text: &str) -> Result<Option<Key>> {
    match text.strip_suffix('/').unwrap_or(text) {
        "" if text != "/" => Ok(None),
        "" => file(text).map(Some),
        path => file(path).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a path that leads out of the backup.
    #[test]
    fn a_path_stays_in_its_backup() {
        for bad in [
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "data/../../x",
            "data//x",
            "data\\x",
            "data/\0",
        ] {
            assert!(file(bad).is_err() && folder(bad).is_err(), "{bad:?}");
        }
        assert!(file("").is_err() && file("data/").is_err());
        let key = |text| folder(text).expect(text).map(|key| key.to_string());
        assert_eq!((key(""), key("data/")), (None, Some("data".to_owned())));
        assert_eq!(key("data/iot"), Some("data/iot".to_owned()));
    }
}
