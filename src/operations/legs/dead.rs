//! Legs of backups that died before the manifest of the default leg was written.
//!
//! That one is written last: without it, the other legs are of no use. A published leg is removed
//! only with proof: the journal of the same operation lies open in the default target, and there is
//! no manifest there. A target without that journal may be another store of the same name.

use crate::Result;
use crate::manifest::BackupId;
use crate::repository::{Journal, Repository, Swept};

/// What is known of the backups over several targets that did not end.
#[derive(Debug, Default)]
pub(crate) struct DeadLegs {
    /// Published legs without a default leg. They are leftovers once their manifests are removed.
    pub(crate) dead: Vec<BackupId>,
    /// What must stay: legs of which that is not known, and what proves it of other legs.
    pub(crate) kept: Vec<BackupId>,
    /// Why manifests could not be removed.
    pub(crate) faults: Vec<String>,
}

/// Finds the dead legs in `repository`, whose lock the caller holds; with `apply`, removes their
/// manifests, so that they are leftovers like those of any interrupted backup.
pub(crate) async fn find(
    repositories: &[Repository],
    repository: &Repository,
    apply: bool,
) -> Result<DeadLegs> {
    let mut found = DeadLegs::default();
    let mut swept = Swept::default();
    for (id, journal) in repository.open_journals().await? {
        let is_published = repository.is_published(&id).await?;
        let Some(default_target) = &journal.default_target else {
            if apply && !is_published && is_proof(repositories, &id, &journal).await {
                found.kept.push(id);
            }
            continue;
        };
        if !is_published {
            continue;
        }
        let default = repositories.iter().find(|one| one.name() == default_target);
        let is_whole = match default {
            Some(default) => is_whole(default, &id, &journal).await,
            None => None,
        };
        match is_whole {
            Some(true) => {}
            Some(false) if !apply => found.dead.push(id),
            Some(false) => match repository.remove_manifest(&id).await {
                Ok(()) => {
                    tracing::info!(backup = %id, "removing the leg of an interrupted backup");
                    found.dead.push(id);
                }
                Err(error) => {
                    swept.add_fault(id.as_str(), &error);
                    found.kept.push(id);
                }
            },
            None => found.kept.push(id),
        }
    }
    found.faults = swept.faults;
    Ok(found)
}

/// Whether the backup of a leg with this journal has its default leg; `None` where that is not
/// known.
async fn is_whole(default: &Repository, id: &BackupId, leg: &Journal) -> Option<bool> {
    // In this order: a journal ends after its manifest was written.
    let journal = default.open_journal(id).await.ok()?;
    let is_published = default.is_published(id).await.ok()?;
    let is_of_leg =
        |one: &Journal| one.operation_id == leg.operation_id && one.default_target.is_none();
    match is_published {
        true => Some(true),
        false => journal.is_some_and(|one| is_of_leg(&one)).then_some(false),
    }
}

/// Whether the journal of a default leg that was never published still proves that published legs
/// in other targets are dead.
async fn is_proof(repositories: &[Repository], id: &BackupId, journal: &Journal) -> bool {
    let of_run =
        (repositories.iter()).filter(|one| journal.legs.iter().any(|name| name == one.name()));
    for repository in of_run {
        // One that does not answer may hold one.
        if repository.is_published(id).await.unwrap_or(true) {
            return true;
        }
    }
    false
}
