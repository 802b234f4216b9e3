//! Legs of backups that died before the manifest of the default leg was written.
//!
//! That one is written last: without it, the other legs are of no use. Their journals name the
//! target of the default leg.

use crate::Result;
use crate::manifest::BackupId;
use crate::repository::Repository;

/// What is known of the published legs in a target whose backups did not end.
#[derive(Debug, Default)]
pub(crate) struct DeadLegs {
    /// Those without a default leg. They are leftovers once their manifests are removed.
    pub(crate) dead: Vec<BackupId>,
    /// Those whose default target does not answer, or is not configured here. They stay.
    pub(crate) unknown: Vec<BackupId>,
}

/// Finds the dead legs in `repository`, whose lock the caller holds; with `apply`, removes their
/// manifests, so that they are leftovers like those of any interrupted backup.
pub(crate) async fn find(
    repositories: &[Repository],
    repository: &Repository,
    apply: bool,
) -> Result<DeadLegs> {
    let mut found = DeadLegs::default();
    for (id, default_target) in repository.published_legs().await? {
        let default = repositories.iter().find(|one| one.name() == default_target);
        let is_whole = match default {
            Some(default) => default.is_published(&id).await.ok(),
            None => None,
        };
        match is_whole {
            Some(true) => {}
            Some(false) => {
                if apply {
                    tracing::info!(backup = %id, "removing the leg of an interrupted backup");
                    repository.remove_manifest(&id).await?;
                }
                found.dead.push(id);
            }
            None => found.unknown.push(id),
        }
    }
    Ok(found)
}
