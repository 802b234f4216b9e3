//! Deleting one backup of a plan, after a last look at it.

use crate::manifest::BackupId;
use crate::operations::ArcBackup;
use crate::operations::context::Context;
use crate::operations::delete::Deleter;
use crate::operations::pins;
use crate::operations::prune::PlannedBackup;
use crate::repository::{BackupState, Freed, Repository};
use crate::{Error, Result};

/// What became of a backup of the plan.
pub(super) enum Outcome {
    /// It was deleted.
    Deleted(Freed),
    /// It stays, for this reason: something has changed since the plan.
    Kept(String),
}

/// Deletes the backup, unless it has changed since the plan was made.
pub(super) async fn delete(
    engine: &ArcBackup,
    context: &Context,
    deleter: &mut Deleter<'_>,
    planned: &PlannedBackup,
) -> Result<Outcome> {
    let id = BackupId::parse(&planned.backup_id)?;
    // Of a run, all legs.
    let target = (planned.targets.len() == 1).then(|| context.repository.name());
    let look = async {
        let repository = match engine.locate_anything(&id, target).await {
            Err(Error::NotFound(_)) => return Ok(Err("it is gone already".to_owned())),
            found => found?,
        };
        let changed = what_changed(context, &repository, &id, planned).await?;
        Ok(changed.map_or(Ok(repository), Err))
    };
    let repository = match context.or_cancelled(look).await? {
        Ok(repository) => repository,
        Err(why) => return Ok(Outcome::Kept(why)),
    };
    context.check_lock().await?;
    let repository = repository.with_activity(context.running.progress.activity());
    match deleter.remove(&repository, &id).await {
        Err(Error::Pinned { detail, .. }) => Ok(Outcome::Kept(format!("it is pinned{detail}"))),
        removed => removed.map(Outcome::Deleted),
    }
}

/// Why the backup must stay after all; `None` where it is as the plan says.
async fn what_changed(
    context: &Context,
    repository: &Repository,
    id: &BackupId,
    planned: &PlannedBackup,
) -> Result<Option<String>> {
    // Of a run whose legs are gone, a copy may be left.
    let is_planned = |part: &&Repository| planned.targets.iter().any(|name| name == part.name());
    if !repository.parts().iter().all(is_planned) {
        return Ok(Some("it is in other targets now: prune again".to_owned()));
    }
    let locked = context.repository.parts();
    let is_locked = |part: &&Repository| locked.iter().any(|one| one.name() == part.name());
    if !repository.parts().iter().all(is_locked) {
        return Ok(Some(
            "it is over targets that are not locked: prune again".to_owned(),
        ));
    }
    let note = match repository.note(id).await {
        Ok(note) => note.unwrap_or_default(),
        Err(error) if error.storage_fault().is_some() => return Err(error),
        Err(error) => {
            return Ok(Some(format!(
                "its note can't be read, so it may be pinned: {error}"
            )));
        }
    };
    if let Some(pin) = pins::live(&note) {
        return Ok(Some(format!("it is pinned{}", pins::described(&pin))));
    }
    let state = match repository.load(id).await {
        Ok(_) => BackupState::of(&note),
        Err(Error::Unreadable { state, .. }) => state.into(),
        Err(Error::Damaged { .. }) => BackupState::Damaged,
        Err(error) => return Err(error),
    };
    Ok((state != planned.state).then(|| {
        let (before, now) = (planned.state.as_str(), state.as_str());
        format!("it was {before} and is {now} now: prune again")
    }))
}
