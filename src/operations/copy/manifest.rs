//! The manifest of a copy: that of the source, with what is different at the destination.

use std::collections::BTreeMap;

use crate::manifest::{self, CopiedFrom, InventoryRef, Manifest, StoredTotals};
use crate::operations::copy::source::Source;
use crate::{Error, Result};

/// Fields of a merged manifest that are none of the file: see `manifest::merged`.
const OF_THE_ANSWER: [&str; 1] = ["targets"];

/// What is different in a copy.
#[derive(Default)]
pub(crate) struct Changed {
    /// The target that it is in.
    pub(crate) target: Option<String>,
    /// Where it came from. Damage that is found since was not known to it.
    pub(crate) copied_from: CopiedFrom,
    /// Files whose bytes lie in another backup.
    pub(crate) stored_in: BTreeMap<String, StoredTotals>,
    /// Files that share their bytes with another backup, and those bytes.
    pub(crate) reused: (u64, u64),
    /// Its inventory.
    pub(crate) inventory: InventoryRef,
    /// Its list for Arc.
    pub(crate) file_list: Option<InventoryRef>,
}

/// The manifest of the copy, sealed, as the bytes that are stored.
///
/// # Errors
/// Where it cannot be written so that it can be read again.
pub(crate) fn sealed(source: &Source, changed: Changed) -> Result<Vec<u8>> {
    seal(of_copy(source, changed))
}

/// Seals the manifest of a copy.
///
/// # Errors
/// As [`sealed`].
pub(crate) fn seal(mut manifest: Manifest) -> Result<Vec<u8>> {
    let bytes = manifest::seal(&mut manifest)
        .map_err(|e| Error::Failed(format!("cannot write the manifest: {e}")))?;
    let digest = manifest.sha256.unwrap_or_default();
    if !manifest::is_sealed(&bytes, &digest) {
        return Err(Error::Failed(
            "the manifest of the copy cannot be sealed: a field of the source's has 64 zeros"
                .to_owned(),
        ));
    }
    Ok(bytes)
}

fn of_copy(source: &Source, changed: Changed) -> Manifest {
    let of_source = &source.loaded.manifest;
    let mut manifest = Manifest {
        target: changed.target,
        copied_from: Some(changed.copied_from),
        stored_in: changed.stored_in,
        reused_files: changed.reused.0,
        reused_bytes: changed.reused.1,
        inventory: Some(changed.inventory),
        file_list: changed.file_list,
        sha256: None,
        // A run becomes one backup.
        run_targets: Vec::new(),
        run_inventories: BTreeMap::new(),
        is_default_target: None,
        ..of_source.clone()
    };
    if !source.repository.legs().is_empty() {
        for name in OF_THE_ANSWER {
            manifest.unknown.remove(name);
        }
    }
    manifest.format = Some(manifest::FORMAT);
    manifest
}
