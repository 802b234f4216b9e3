//! The files of each measurement of a backup that Arc made, against what its manifest says.
//!
//! Arc counts files that it skipped. Where it skipped some, the counts of the whole backup show
//! little: a measurement with all of its files must have all of its bytes.

use std::collections::BTreeMap;

use arc_backup_core::Section;

use crate::Result;
use crate::manifest::{Inventory, Manifest, is_data_file};
use crate::operations::ProblemKind;
use crate::operations::problems::Problems;

/// Files, and their bytes.
type Count = (u64, u64);

/// Adds measurements with files that are not whole, and files missing that Arc did not skip.
pub(crate) fn check(
    problems: &mut Problems,
    manifest: &Manifest,
    inventory: &Inventory,
    skipped: u64,
) -> Result<()> {
    // By folder: what the manifest says, and what there is.
    let mut folders: BTreeMap<String, (Count, Count)> = BTreeMap::new();
    for database in &manifest.databases {
        for one in &database.measurements {
            let folder = format!("{}/{}/", database.name, one.name);
            folders.entry(folder).or_default().0 = (one.file_count, one.size_bytes);
        }
    }
    for record in inventory.records_of(&Section::Data)? {
        let entry = record?.entry;
        if !is_data_file(&entry.key) {
            continue;
        }
        for (at, _) in entry.key.match_indices('/') {
            if let Some((_, (files, bytes))) = folders.get_mut(&entry.key[..=at]) {
                *files += 1;
                *bytes = bytes.saturating_add(entry.size);
            }
        }
    }
    let mut missing = 0_u64;
    for (folder, (says, holds)) in &folders {
        missing = missing.saturating_add(says.0.saturating_sub(holds.0));
        let is_damaged = match holds.0.cmp(&says.0) {
            std::cmp::Ordering::Equal => holds.1 != says.1,
            std::cmp::Ordering::Less => holds.1 > says.1,
            // Its folder has those of another one in it.
            std::cmp::Ordering::Greater => false,
        };
        if is_damaged {
            let text = format!(
                "it holds {} Parquet files of {} bytes; its manifest says {} of {}",
                holds.0, holds.1, says.0, says.1
            );
            let path = format!("data/{}", folder.trim_end_matches('/'));
            problems.add(path, ProblemKind::Size, text);
        }
    }
    if missing > skipped {
        let text = format!(
            "{missing} Parquet files are missing by the counts of measurements in its manifest, and Arc skipped {skipped}"
        );
        problems.add("data", ProblemKind::Missing, text);
    }
    Ok(())
}
