//! How much a rehearsal restores.

/// How much of a backup a rehearsal restores.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RehearseOptions {
    /// The share of the data files, 0.1 for a tenth, another one each time. `None`: all of them.
    /// Databases and configuration are always restored.
    pub share: Option<f64>,
}
