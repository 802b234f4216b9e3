//! Databases that Arc had staged (`<database>.pending-restore`), which a restore moves away.
//!
//! An undo moves them back. Where it can't, they stay where they are: nothing but a request removes
//! them.

use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::files::{sync_folder, with_suffix};
use crate::operations::undo::record::Record;
use crate::source::{WITH_COMPANIONS, kept_path, pending_places};
use crate::{Error, Result};

/// A staged database that a restore has moved away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MovedPending {
    /// Where it is.
    pub(crate) kept: PathBuf,
    /// Where Arc had staged it.
    pub(crate) place: PathBuf,
}

/// Where an operation may have moved what Arc had staged for the database at `path`.
fn candidates(path: &Path, operation_id: &str) -> Vec<MovedPending> {
    let places = pending_places(path).into_iter();
    let moved = places.map(|place| MovedPending {
        kept: kept_path(&place, operation_id),
        place,
    });
    moved.collect()
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// All that the operation has moved away, by where it may be.
pub(super) fn kept_pending(settings: &Settings, operation_id: &str) -> Vec<PathBuf> {
    (settings.databases.iter())
        .flat_map(|one| candidates(&one.path, operation_id))
        .map(|moved| moved.kept)
        .collect()
}

/// What the runs of a restore have moved away: of each place, what was there before the first.
pub(crate) fn moved_by(settings: &Settings, runs: &[Record]) -> Vec<MovedPending> {
    let mut found: Vec<MovedPending> = Vec::new();
    for run in runs {
        for one in &settings.databases {
            for moved in candidates(&one.path, &run.operation_id) {
                let is_first = found.iter().all(|other| other.place != moved.place);
                if is_first && is_there(&moved.kept) {
                    found.push(moved);
                }
            }
        }
    }
    found
}

/// Moves them back, durably; returns warnings.
pub(crate) fn move_back(all: &[MovedPending]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for MovedPending { kept, place } in all {
        let (kept_shown, place_shown) = (kept.display(), place.display());
        if is_there(place) {
            warnings.push(format!(
                "Arc has staged a restore of its own in {place_shown} again: the one from before the restore stays in {kept_shown}"
            ));
            continue;
        }
        // The database last: without it Arc does not look for the others.
        for suffix in WITH_COMPANIONS.iter().rev() {
            let from = with_suffix(kept, suffix);
            match std::fs::rename(&from, with_suffix(place, suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("move back", &from, error));
                }
                _ => {}
            }
        }
        sync_folder(place)?;
        warnings.push(format!(
            "the restore that Arc had staged in {place_shown} is there again: at its next start Arc puts it over the database; \
             remove it where that is not wanted"
        ));
    }
    Ok(warnings)
}
