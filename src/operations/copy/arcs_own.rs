//! Copying a backup that Arc made: file by file, with its own manifest and lists as they are.

use arc_backup_core::Child;

use crate::operations::context::Context;
use crate::operations::copy::source::Source;
use crate::repository::{file_key, folder, manifest_key};
use crate::{Error, Result};

/// The name of the manifest, which is written last.
const MANIFEST: &str = "manifest.json";

/// Warns of what a copy of a backup by Arc can't be checked by.
pub(crate) fn warn(context: &Context, source: &Source) {
    let text = match source.loaded.has_checksums {
        true => {
            "Arc itself made this backup: of its files, only those of the data have checksums. Of the others, sizes and counts \
             were compared"
        }
        false => {
            "Arc itself made this backup: it has no checksums. Of the files that were copied, sizes and counts were compared"
        }
    };
    context.warn(text.to_owned());
}

/// Copies what lies beside the manifest: the list of files, and whatever else Arc has put there.
pub(crate) async fn copy_lists(context: &Context, source: &Source) -> Result<()> {
    let sink = source.repository.sink();
    let children = sink.list_children(Some(&folder(&context.id))).await;
    let children = children.map_err(|error| source.repository.named(error.into()))?;
    for child in children {
        let Child::Object(name) = child else { continue };
        if name == MANIFEST {
            continue;
        }
        context.check_cancelled()?;
        let key = file_key(&context.id, &name)?;
        let bytes = source.read_object(&key).await?;
        let written = context.repository.put(&key, bytes).await;
        written.map_err(|error| context.repository.named(error))?;
    }
    Ok(())
}

/// The manifest, byte for byte.
///
/// # Errors
/// Where it is not the one any more that was read at the start.
pub(crate) async fn manifest(context: &Context, source: &Source) -> Result<Vec<u8>> {
    let bytes = source.read_object(&manifest_key(&context.id)).await?;
    let read: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    if read.as_ref() != Some(&source.loaded.raw) {
        return Err(Error::Failed(format!(
            "the manifest of `{}` in {} was changed while the backup was copied",
            context.id,
            source.repository.label()
        )));
    }
    Ok(bytes)
}
