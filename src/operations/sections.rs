//! The sections of a request, in REST and on the command line.

use arc_backup_core::{Databases, Scope, Section};

/// The chosen sections, of those that every instance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sections {
    /// Parquet files and their companions, and the sections of third parties.
    pub data: bool,
    /// SQLite databases.
    pub metadata: bool,
    /// `arc.toml`.
    pub config: bool,
}

impl From<Sections> for Scope {
    fn from(sections: Sections) -> Self {
        let chosen = [
            (Section::Data, sections.data),
            (Section::Metadata, sections.metadata),
            (Section::Config, sections.config),
        ];
        let chosen = chosen.into_iter().filter(|(_, is_chosen)| *is_chosen);
        Self::of_sections(chosen.map(|(section, _)| section))
    }
}

/// The databases that the data of a scope is limited to, sorted; empty where it is not, or where no
/// data is in scope.
#[must_use]
pub(crate) fn named_databases(scope: &Scope) -> Vec<String> {
    match scope.databases() {
        Databases::Only(names) if scope.includes(&Section::Data) => names.iter().cloned().collect(),
        _ => Vec::new(),
    }
}
