//! What a prune is asked for.

use std::collections::BTreeMap;

use crate::retention::Rules;

/// Which backups to keep, and in which target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneOptions {
    /// The target; `None` for the default one.
    pub target: Option<String>,
    /// The rules for all backups, in place of the configured ones, those of schedules included.
    pub rules: Option<Rules>,
    /// Whether backups of other instances, and of Arc, are pruned too, by the same rules.
    pub include_foreign: bool,
    /// Backups that are still to be copied, each with the target that it goes to: they are kept.
    pub(crate) to_copy: BTreeMap<String, String>,
}

impl PruneOptions {
    /// A prune of this target by the configured rules.
    #[must_use]
    pub fn of(target: Option<String>) -> Self {
        Self {
            target,
            ..Self::default()
        }
    }
}
