//! What a backup of all databases lacks, as it was asked for without.

use serde::{Deserialize, Serialize};

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
