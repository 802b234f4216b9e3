//! Deletions of rows that were under way when Arc made a backup.
//!
//! Arc writes a file without the deleted rows, then removes the old one. Its backup may hold both,
//! and a restore of both would serve the rows that stay twice. A backup of ours has one of them.

use std::collections::BTreeSet;
use std::path::Path;

use arc_backup_core::Section;

use crate::Result;
use crate::manifest::{BackupId, Inventory, Spool};
use crate::operations::problems::PathSet;
use crate::source::RewrittenFiles;

/// The inventory of a backup that Arc made with one version of each file, the oldest, and a warning
/// where one is omitted. `damaged` has the paths of files that can't be restored.
///
/// # Errors
/// When the list can't be read or written.
pub(super) fn one_version(
    id: &BackupId,
    inventory: Inventory,
    damaged: &PathSet,
    scratch: &Path,
) -> Result<(Inventory, Option<String>)> {
    let newer = newer_versions(&inventory, damaged)?;
    let Some(warning) = warning(&newer) else {
        return Ok((inventory, None));
    };
    let mut rest = Spool::create(&scratch.join(format!("{id}.one-version")))?;
    for record in inventory.records()? {
        let record = record?;
        if record.section() != Section::Data || !newer.contains(&*record.entry.key) {
            rest.push(&record)?;
        }
    }
    // As before: the lines of Arc's files have no digests, or those of its own list.
    Ok((rest.finish()?.without_checksums(), Some(warning)))
}

/// The rewritten files whose older version is in the backup too, and can be restored.
fn newer_versions(inventory: &Inventory, damaged: &PathSet) -> Result<BTreeSet<String>> {
    let mut files = RewrittenFiles::default();
    for record in inventory.records_of(&Section::Data)? {
        let record = record?;
        if !damaged.contains(&record.path) {
            files.add(&record.entry.key);
        }
    }
    if !files.is_empty() {
        for record in inventory.records_of(&Section::Data)? {
            let record = record?;
            if !damaged.contains(&record.path) {
                files.add_first(&record.entry.key);
            }
        }
    }
    Ok(files.newer())
}

/// Says which deletions a restore undoes.
fn warning(newer: &BTreeSet<String>) -> Option<String> {
    let first = newer.first()?;
    let more = match newer.len() - 1 {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!(
        "`data/{first}`{more}: not restored, as the file that it replaces is in the backup too; a deletion of rows was under \
         way, and these rows are there again: delete them again"
    ))
}
