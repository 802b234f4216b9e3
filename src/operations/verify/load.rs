//! Loading a backup: its manifest, its inventory, and the check of its files.

use arc_backup_core::Scope;

use crate::manifest::{FILE_LIST, Inventory, InventoryFault, Skipped};
use crate::operations::Phase;
use crate::operations::ProblemKind;
use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::verify::check_for::{CheckFor, OnBadList};
use crate::operations::verify::completeness;
use crate::repository::Loaded;
use crate::{Error, Result};

/// Reads the manifest and inventory of the operation's backup, and checks that the files in `scope`
/// exist. Damage is added to `problems`; `None` if the manifest or the inventory is damaged.
pub(crate) async fn load(
    context: &Context,
    problems: &mut Problems,
    scope: &Scope,
    purpose: CheckFor,
    on_bad_list: OnBadList,
) -> Result<Option<(Loaded, Inventory)>> {
    let mut loaded = match context.repository.load(&context.id).await {
        Ok(loaded) => loaded,
        Err(Error::Damaged { detail, .. }) => {
            problems.add("manifest.json", ProblemKind::Manifest, detail);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut inventory = inventory_of(context, problems, &loaded).await?;
    let can_do_without = loaded.has_checksums
        && !loaded.sealed
        && context.repository.legs().is_empty()
        && on_bad_list == OnBadList::DoWithout;
    if inventory.is_none() && can_do_without {
        loaded.has_checksums = false;
        context.warn(format!(
            "{FILE_LIST} can't be used: the files are taken as the target lists them, and have no checksums"
        ));
        inventory = inventory_of(context, problems, &loaded).await?;
    }
    let Some(inventory) = inventory else {
        return Ok(None);
    };
    context
        .running
        .update(|operation| operation.has_checksums = Some(loaded.has_checksums));
    let legs = context.repository.legs().iter();
    problems.name_legs(
        legs.map(|leg| leg.name().to_owned()).collect(),
        inventory.legs(),
    );
    context.running.phase(Phase::Checking);
    completeness::check(context, problems, &loaded, &inventory, scope, purpose).await?;
    if let Some(warning) = Skipped::of(&loaded.manifest).warning() {
        context.warn(warning);
    }
    if loaded.sealed {
        completeness::check_counts(problems, &loaded, &inventory)?;
    } else {
        completeness::check_arcs_counts(problems, &loaded, &inventory)?;
    }
    Ok(Some((loaded, inventory)))
}

/// The list of the backup's files; `None`, and a problem, where it is damaged.
async fn inventory_of(
    context: &Context,
    problems: &mut Problems,
    loaded: &Loaded,
) -> Result<Option<Inventory>> {
    let (repository, scratch) = (&context.repository, context.scratch()?);
    match repository.inventory(&context.id, loaded, scratch).await {
        Ok(inventory) => Ok(Some(inventory)),
        Err(InventoryFault::Damaged { list, detail }) => {
            let remedy = match list == FILE_LIST {
                true => " (a restore can do without it: --skip-damaged --extra-files keep)",
                false => "",
            };
            let detail = format!("{list} {detail}{remedy}");
            problems.add(list, ProblemKind::Inventory, detail);
            Ok(None)
        }
        Err(InventoryFault::Other(error)) => Err(error),
    }
}
