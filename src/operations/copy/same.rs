//! A backup of the same id that the destination holds already.

use futures::{TryStreamExt, stream};

use crate::manifest::{Inventory, InventoryFault, Record};
use crate::operations::context::Context;
use crate::operations::copy::holdings::holdings;
use crate::repository::{BackupState, Loaded};
use crate::sorted::{Joined, merge_join};
use crate::{Error, Result};

/// Whether the destination holds the backup already, whole as far as a listing shows.
///
/// # Errors
/// Where there is something of that id that is not this backup, or is damaged.
pub(crate) async fn is_there(
    context: &Context,
    source: &Loaded,
    of_source: &Inventory,
) -> Result<bool> {
    let (repository, id) = (&context.repository, &context.id);
    let refuse = |what: String| {
        // Where files have second names, no other backup needs those of this one.
        let others = match repository.sink().hard_links() {
            Some(_) => "",
            None => {
                ", after the newer backups there that need files of it (`--dry-run` names them),"
            }
        };
        let kind = context.running.snapshot().operation;
        Err(Error::Failed(format!(
            "{} {what}: nothing was {}; delete it there first (`arc-backup delete {id} --target {}`){others} then {kind} again",
            repository.label(),
            kind.participle(),
            repository.name()
        )))
    };
    let there = match repository.load(id).await {
        Ok(there) => there,
        Err(Error::NotFound(_)) => return Ok(false),
        Err(Error::Damaged { detail, .. }) => {
            return refuse(format!("holds a damaged backup of this id ({detail})"));
        }
        Err(error) => return Err(repository.named(error)),
    };
    if there.manifest.is_leg() {
        return refuse("holds a leg of another backup of this id".to_owned());
    }
    let folder = context.scratch()?.join("there");
    crate::files::create_folder(&folder).map_err(|e| Error::io("create", &folder, e))?;
    let inventory = match repository.inventory(id, &there, &folder).await {
        Ok(inventory) => inventory,
        Err(InventoryFault::Damaged { list, detail }) => {
            return refuse(format!(
                "holds a damaged backup of this id ({list} {detail})"
            ));
        }
        Err(InventoryFault::Other(error)) => return Err(repository.named(error)),
    };
    let is_other = source.sealed != there.sealed
        || source.manifest.created_at != there.manifest.created_at
        || !source.sealed && has_other_totals(source, &there);
    let mut joined = merge_join(
        stream::iter(of_source.records()?),
        stream::iter(inventory.records()?),
    );
    let mut differs = is_other;
    while !differs && let Some(joined) = joined.try_next().await? {
        context.check_cancelled()?;
        differs = !matches!(&joined, Joined::Both(one, other) if is_same(one, other));
    }
    drop(joined);
    // A file that Arc's backup lacks there is not in its list: that is damage, and not another one.
    if differs && (is_other || there.sealed) {
        return refuse("holds another backup of this id".to_owned());
    }
    if differs {
        return refuse("holds a damaged backup of this id (its files are others)".to_owned());
    }
    let state = BackupState::of(&repository.note_to_show(id).await);
    if !state.is_good() {
        let text = "holds a backup of this id that a verification found damaged";
        return refuse(text.to_owned());
    }
    let held = holdings(context, repository, id, &inventory).await;
    let held = held.map_err(|error| repository.named(error))?;
    if let Some((path, fault)) = held.absent.first_key_value() {
        return refuse(format!(
            "holds a damaged backup of this id ({path}: {fault})"
        ));
    }
    let files = inventory.summary();
    context.running.progress.expect(files.entries, 0);
    context.running.progress.add_files(files.entries);
    Ok(true)
}

fn has_other_totals(one: &Loaded, other: &Loaded) -> bool {
    let totals = |loaded: &Loaded| {
        let manifest = &loaded.manifest;
        (manifest.total_files, manifest.total_size_bytes)
    };
    totals(one) != totals(other)
}

/// Whether both are the same file, as far as the lists say.
pub(crate) fn is_same(one: &Record, other: &Record) -> bool {
    one.path == other.path
        && one.entry.size == other.entry.size
        && one.entry.sha256 == other.entry.sha256
}
