//! Putting the legs of a run together, or refusing to.

use futures::future::join_all;

use crate::manifest::{BackupId, Manifest};
use crate::operations::ArcBackup;
use crate::operations::owner::Owner;
use crate::repository::{Loaded, Repository, fault_of_leg};
use crate::{Error, Result};

impl ArcBackup {
    /// Puts together the run that `leg` is of: a repository of all its legs, and the merged
    /// manifest. A damaged or missing leg is part of the answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a target of the run is not configured here; the error of a target that
    /// does not answer.
    pub(crate) async fn assemble(
        &self,
        id: &BackupId,
        leg: &Manifest,
    ) -> Result<(Repository, Result<Loaded>)> {
        let mut legs = self.repositories_of(id, leg)?;
        let loaded = join_all(legs.iter().map(|leg| leg.load(id))).await;
        let is_default = |one: &Result<Loaded>| {
            (one.as_ref()).is_ok_and(|loaded| loaded.manifest.is_default_leg())
        };
        if let Some(at) = loaded.iter().position(is_default) {
            legs[..=at].rotate_right(1);
        }
        let Some(run) = Repository::of_legs(legs) else {
            return Err(Error::NotFound(id.to_string()));
        };
        match run.load(id).await {
            Err(error)
                if !matches!(
                    error.root(),
                    Error::Damaged { .. } | Error::Unreadable { .. }
                ) =>
            {
                Err(error)
            }
            loaded => Ok((run, loaded)),
        }
    }

    /// The repositories of all targets that the run of `leg` is of, in the order of their names.
    fn repositories_of(&self, id: &BackupId, leg: &Manifest) -> Result<Vec<Repository>> {
        let run = leg.run().unwrap_or_default();
        (run.targets.iter())
            .map(|name| {
                let found = self.repositories.iter().find(|one| one.name() == name);
                found.cloned().ok_or_else(|| not_configured(id, name))
            })
            .collect()
    }

    /// The legs, and leftovers of legs, that a deletion of the run of these legs removes.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a target of the run is not configured here; the error of a target that
    /// does not answer, since what it holds would stay.
    pub(crate) async fn legs_to_delete(
        &self,
        id: &BackupId,
        legs: &[&Manifest],
    ) -> Result<Repository> {
        let mut holders: Vec<Repository> = Vec::new();
        for leg in legs {
            for repository in self.repositories_of(id, leg).map_err(delete_one_by_one)? {
                if !holders.iter().any(|one| one.name() == repository.name()) {
                    holders.push(repository);
                }
            }
        }
        let owner = Owner::of(&self.settings);
        let own = self.instance();
        let is_other = legs.iter().any(|leg| {
            let instance = leg.source.as_ref().and_then(|one| one.instance.as_ref());
            let is_not_own = own.is_some() && instance.is_some() && instance != own.as_ref();
            let owner_id = leg.owner_instance_id.as_deref();
            is_not_own || owner.is_other(owner_id, instance.map(String::as_str))
        });
        let asked = join_all(holders.iter().map(
            async |one| match one.has_anything_of(id).await? {
                true => Ok::<_, Error>(Some(true)),
                false => Ok((!one.is_unused().await?).then_some(false)),
            },
        ));
        let mut left = Vec::new();
        let asked = asked.await;
        for (repository, holds) in holders.into_iter().zip(asked) {
            match holds {
                Ok(Some(true)) => left.push(repository),
                Ok(Some(false)) if !is_other => {}
                Ok(Some(false)) => return Err(of_another_instance(id, &repository)),
                Ok(None) => return Err(unused(id, &repository)),
                Err(error) => {
                    return Err(delete_one_by_one(fault_of_leg(&repository, id, error)));
                }
            }
        }
        let default = legs.iter().find(|leg| leg.is_default_leg());
        let default = default.and_then(|leg| leg.target.as_deref());
        if let Some(at) = left.iter().position(|one| Some(one.name()) == default) {
            left[..=at].rotate_right(1);
        }
        Repository::of_legs(left).ok_or_else(|| Error::NotFound(id.to_string()))
    }
}

fn not_configured(id: &BackupId, name: &str) -> Error {
    Error::Invalid(format!(
        "backup `{id}` has a leg in target {name:?}, which is not configured here: add it to arc.toml as it was when \
         the backup was made ([backup.targets.{name}])"
    ))
}

fn of_another_instance(id: &BackupId, repository: &Repository) -> Error {
    delete_one_by_one(Error::Invalid(format!(
        "backup `{id}` is of another instance, and {} does not hold its leg: its target of that name may be another one; delete \
         it from that instance",
        repository.label()
    )))
}

fn unused(id: &BackupId, repository: &Repository) -> Error {
    delete_one_by_one(Error::Invalid(format!(
        "backup `{id}` has a leg in {}, which holds no backup at all: is it mounted?",
        repository.label()
    )))
}

/// Adds what can be done where a target is gone for good.
fn delete_one_by_one(error: Error) -> Error {
    error.context(
        "nothing was deleted; where that target is gone for good, delete the other legs one by one (--target, `target`)",
    )
}

/// Refuses to restore a leg by itself: every database that it does not hold would be taken away.
///
/// # Errors
/// [`Error::Invalid`] if the backup is a leg and `repository` is not of the whole run.
pub(crate) fn check_whole(repository: &Repository, id: &BackupId, loaded: &Loaded) -> Result<()> {
    match loaded.manifest.run() {
        Some(run) if repository.legs().is_empty() => {
            let targets: Vec<_> = run.targets.iter().map(String::as_str).collect();
            Err(Error::Invalid(format!(
                "backup `{id}` in {} is only a leg of a backup over the targets {}: restore all of it, without --target \
                 (`target`)",
                repository.label(),
                targets.join(", ")
            )))
        }
        _ => Ok(()),
    }
}
