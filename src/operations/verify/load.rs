//! Loading a backup: its manifest, its inventory, and the check of its files.

use arc_backup_core::Scope;

use crate::manifest::{Inventory, InventoryFault, Skipped};
use crate::operations::Phase;
use crate::operations::ProblemKind;
use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::verify::check_for::CheckFor;
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
) -> Result<Option<(Loaded, Inventory)>> {
    let loaded = match context.repository.load(&context.id).await {
        Ok(loaded) => loaded,
        Err(Error::Damaged { detail, .. }) => {
            problems.add("manifest.json", ProblemKind::Manifest, detail);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let inventory = match context
        .repository
        .inventory(&context.id, &loaded, context.scratch()?)
        .await
    {
        Ok(inventory) => inventory,
        Err(InventoryFault::Damaged { list, detail }) => {
            let detail = format!("{list} {detail}");
            problems.add(list, ProblemKind::Inventory, detail);
            return Ok(None);
        }
        Err(InventoryFault::Other(error)) => return Err(error),
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
