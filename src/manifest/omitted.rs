//! What a backup of all databases lacks, as it was asked for without.

use super::Manifest;
use crate::omitted::Omitted;

/// With this the line in `not_included` of a SQLite database ends that was omitted on request.
pub(crate) const NO_METADATA: &str = "(include_metadata = false)";
/// The same of `arc.toml`.
pub(crate) const NO_CONFIG: &str = "(include_config = false)";

impl Omitted {
    /// What a manifest says of it.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let says = |end: &str| manifest.not_included.iter().any(|line| line.ends_with(end));
        Self {
            metadata: !manifest.has_metadata && says(NO_METADATA),
            config: !manifest.has_config && says(NO_CONFIG),
        }
    }
}
