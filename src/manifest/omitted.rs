//! What a backup of all databases lacks, as it was asked for without.

use serde::{Deserialize, Serialize};

use super::Manifest;

/// With this the line in `not_included` of a SQLite database ends that was omitted on request.
pub(crate) const NO_METADATA: &str = "(include_metadata = false)";
/// The same of `arc.toml`.
pub(crate) const NO_CONFIG: &str = "(include_config = false)";

/// What a backup of all databases lacks, as it was asked for without. What the instance does not
/// have is not omitted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Omitted {
    /// The SQLite databases, with the tokens: without these no whole instance comes back.
    pub metadata: bool,
    /// `arc.toml`.
    pub config: bool,
}

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
