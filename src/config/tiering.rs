//! Arc's tiered storage: where files go that have become cold.

use std::path::PathBuf;

use super::backends::Backends;
use super::values::Values;
use crate::{Error, Result};

/// The table of the cold tier.
pub(crate) const COLD: &str = "tiered_storage.cold";
/// The backend that Arc uses for the cold tier where none is configured.
const DEFAULT_KIND: &str = "s3";

/// Arc's tiered storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TieringSettings {
    /// The first name of the kind of the cold tier; `None` unless `tiered_storage.enabled` and
    /// `tiered_storage.cold.enabled` are both true.
    pub(crate) cold_kind: Option<String>,
    /// The folder of a cold tier on local disk.
    pub(crate) local_path: Option<PathBuf>,
    /// `arc_backup.include_cold_tier`, default true: whether backups hold the cold tier.
    pub(crate) include_cold_tier: bool,
}

impl TieringSettings {
    /// The settings of `[tiered_storage]`.
    ///
    /// # Errors
    /// [`Error::Config`] names the key and what is allowed.
    pub(super) fn read(values: &Values, backends: &Backends) -> Result<Self> {
        let is_enabled = values.bool("tiered_storage.enabled", false)?
            && values.bool("tiered_storage.cold.enabled", false)?;
        let include_cold_tier = values.bool(&values.own("include_cold_tier"), true)?;
        let kind = values.text("tiered_storage.cold.backend")?;
        let kind = kind.as_deref().unwrap_or(DEFAULT_KIND);
        let cold_kind = match (is_enabled, backends.find(kind)) {
            (false, _) => None,
            (true, Some(backend)) => backend.names.first().map(|name| (*name).to_owned()),
            (true, None) => {
                return Err(Error::Config(format!(
                    "`tiered_storage.cold.backend` must be one of {}, not {kind:?}",
                    backends.names()
                )));
            }
        };
        let local_path = match is_enabled {
            true => values
                .text("tiered_storage.cold.local_path")?
                .map(PathBuf::from),
            false => None,
        };
        Ok(Self {
            cold_kind,
            local_path,
            include_cold_tier,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::backends::samples;

    fn read(text: &str) -> Result<TieringSettings> {
        let values = Values::parse(text, "arc.toml", []).expect("valid TOML");
        TieringSettings::read(&values, &samples::backends())
    }

    /// Guards against a cold tier that is taken for enabled, or for another store.
    #[test]
    fn the_cold_tier_needs_both_keys() {
        let enabled = "[tiered_storage]\nenabled = true\n[tiered_storage.cold]\nenabled = true\n";
        for (text, kind) in [
            ("", None),
            ("[tiered_storage]\nenabled = true\n", None),
            ("[tiered_storage.cold]\nenabled = true\n", None),
            (enabled, Some("s3")),
            (&format!("{enabled}backend = \" MinIO \"\n"), Some("s3")),
            (&format!("{enabled}backend = \"local\"\n"), Some("local")),
        ] {
            let settings = read(text).expect(text);
            assert_eq!(settings.cold_kind.as_deref(), kind, "{text}");
            assert!(settings.include_cold_tier);
        }
        let error = read(&format!("{enabled}backend = \"tape\"\n")).expect_err("no such kind");
        assert!(
            error.to_string().contains("tiered_storage.cold.backend"),
            "{error}"
        );
        let off = read("[arc_backup]\ninclude_cold_tier = false\n").expect("valid");
        assert!(!off.include_cold_tier);
    }
}
