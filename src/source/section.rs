//! The section of a source.

use arc_backup_core::{Section, Source};

/// The section that `source` has its entries in.
pub(crate) fn section_of(source: &dyn Source) -> Section {
    let name = source.section();
    Section::parse(name).unwrap_or_else(|_| Section::Other(name.to_owned()))
}
