//! The manifest and the inventory at the beginning of an archive.

use std::path::Path;

use arc_backup_core::{Activity, Body};
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use crate::manifest::{BackupId, Inventory, InventoryFault, MANIFEST_LIMIT};
use crate::operations::archive::ArchiveReader;
use crate::repository::Loaded;
use crate::{Error, Result};

/// The name of the first file.
const MANIFEST: &str = "manifest.json";

/// Reads the manifest, which comes first and names the backup.
///
/// # Errors
/// Where it is none of a backup that is whole by itself.
pub(super) async fn manifest(archive: &mut ArchiveReader) -> Result<(BackupId, Loaded)> {
    let Some((path, size)) = archive.next_file().await? else {
        return Err(archive.fault("it is empty"));
    };
    let id = (path.split_once('/'))
        .filter(|(_, name)| *name == MANIFEST)
        .and_then(|(folder, _)| BackupId::parse(folder).ok());
    let Some(id) = id else {
        return Err(archive.fault(&format!(
            "it begins with {:?}, not with the manifest of a backup",
            shown(&path)
        )));
    };
    if size > MANIFEST_LIMIT {
        return Err(archive.fault("its manifest is too large"));
    }
    let bytes = archive.collect().await?.0.concat();
    let loaded = Loaded::parse(&id, &bytes).map_err(|why| archive.fault(&why))?;
    if !loaded.sealed {
        return Err(archive.fault("its manifest is of a backup that Arc itself made"));
    }
    let manifest = &loaded.manifest;
    if manifest.is_leg() || !manifest.stored_in.is_empty() {
        return Err(archive.fault("its backup is not whole by itself"));
    }
    Ok((id, loaded))
}

/// Brings the inventory, which comes next, into the local file `path`.
///
/// # Errors
/// Where it is not the one that the manifest names.
pub(super) async fn inventory(
    archive: &mut ArchiveReader,
    id: &BackupId,
    loaded: &Loaded,
    path: &Path,
    activity: &Activity,
) -> Result<Inventory> {
    let Some(expected) = &loaded.manifest.inventory else {
        return Err(archive.fault("its manifest names no inventory"));
    };
    let name = format!("{id}/{}", expected.name());
    match archive.next_file().await? {
        Some((path, _)) if path == name => {}
        _ => return Err(archive.fault("its inventory does not follow the manifest")),
    }
    let (sender, pieces) = mpsc::channel(1);
    let body = stream::unfold(
        pieces,
        |mut pieces: mpsc::Receiver<bytes::Bytes>| async move {
            let piece = pieces.recv().await?;
            Some((Ok(piece), pieces))
        },
    );
    let received = Inventory::receive(Body::Stream(body.boxed()), expected, path, activity);
    let sent = async {
        while let Some(piece) = archive.bytes().await? {
            // The receiver says what is wrong.
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        drop(sender);
        Ok::<_, Error>(())
    };
    let (sent, received) = futures::join!(sent, received);
    sent?;
    let inventory = match received {
        Ok(inventory) => inventory,
        Err(InventoryFault::Damaged { list, detail }) => {
            return Err(archive.fault(&format!("its {list} {detail}")));
        }
        Err(InventoryFault::Other(error)) => return Err(error),
    };
    match inventory.refers_to_other_backups() {
        true => Err(archive.fault("its backup is not whole by itself")),
        false => Ok(inventory),
    }
}

/// The beginning of a name from an archive, for messages.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(200).collect()
}
