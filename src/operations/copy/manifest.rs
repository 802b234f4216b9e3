//! The manifest of a copy: that of the source, with what is different at the destination.

use std::collections::BTreeMap;

use crate::manifest::{self, CopiedFrom, InventoryRef, Manifest};
use crate::operations::copy::section::Copying;
use crate::{Error, Result};

/// Fields of a merged manifest that are none of the file: see `manifest::merged`.
const OF_THE_ANSWER: [&str; 1] = ["targets"];

/// The manifest of the copy, sealed, as the bytes that are stored.
///
/// # Errors
/// Where it cannot be written so that it can be read again.
pub(crate) fn sealed(
    copying: &Copying<'_>,
    inventory: InventoryRef,
    file_list: Option<InventoryRef>,
) -> Result<Vec<u8>> {
    let mut manifest = of_copy(copying, inventory, file_list);
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

fn of_copy(
    copying: &Copying<'_>,
    inventory: InventoryRef,
    file_list: Option<InventoryRef>,
) -> Manifest {
    let (context, source) = (copying.context, copying.source);
    let of_source = &source.loaded.manifest;
    let mut manifest = Manifest {
        target: Some(context.repository.name().to_owned()),
        copied_from: Some(CopiedFrom {
            target: source.repository.name().to_owned(),
            // Damage that is found from now on was not known to it.
            at: copying.began.to_string(),
        }),
        stored_in: copying.stored_in.clone(),
        reused_files: copying.shared.files,
        reused_bytes: copying.shared.bytes,
        inventory: Some(inventory),
        file_list,
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
