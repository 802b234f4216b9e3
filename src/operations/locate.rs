//! Finding the target that holds a backup.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use crate::manifest::{BackupId, Manifest};
use crate::operations::ArcBackup;
use crate::operations::legs::assemble::check_whole;
use crate::operations::originals::{is_copy, keep_original};
use crate::repository::{Loaded, Repository};
use crate::{Error, Result};

/// Timeout for the other targets once one has the backup: a dead target must not delay a restore
/// from another.
const OTHERS_TIMEOUT: Duration = Duration::from_secs(5);

impl ArcBackup {
    /// Finds the target that holds the backup, and returns the target and its answer. Without
    /// `target`, all targets are searched, and the legs of a run are put together, whatever copies
    /// of it there are. A damaged backup counts as held.
    ///
    /// # Errors
    /// Returns [`Error::NotFound`] or [`Error::Incomplete`] if no target holds the backup.
    /// [`Error::Invalid`] lists the targets if several hold it, or the known targets if `target` is
    /// unknown.
    pub async fn locate(
        &self,
        id: &BackupId,
        target: Option<&str>,
    ) -> Result<(Repository, Result<Loaded>)> {
        match self.locate_backup(id, target, Several::Refuse).await {
            Err(error) => Err(self.or_incomplete(id, target, error).await),
            found => found,
        }
    }

    async fn locate_backup(
        &self,
        id: &BackupId,
        target: Option<&str>,
        several: Several,
    ) -> Result<(Repository, Result<Loaded>)> {
        if target.is_some() {
            let repository = self.repository(target)?;
            return match load(repository, id).await {
                answer if is_held(&answer) => Ok((repository.clone(), answer)),
                answer => answer.map(|loaded| (repository.clone(), Ok(loaded))),
            };
        }
        let mut fault = Error::NotFound(id.to_string());
        let mut holders = Vec::new();
        for (repository, found) in answers(self.ask_all(id), |(_, found)| is_held(found)).await {
            match found {
                found if is_held(&found) => holders.push((repository, found)),
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => fault = error,
            }
        }
        if let Some([leg, ..]) = only_legs(&holders).as_deref() {
            check_one_run(id, &holders)?;
            return self.assemble(id, leg).await;
        }
        if several == Several::TakeOriginal {
            keep_original(&mut holders, &self.settings.backup.default_target);
        }
        only(id, &holders.iter().map(|(one, _)| *one).collect::<Vec<_>>())?;
        let (repository, found) = holders.pop().ok_or(fault)?;
        Ok((repository.clone(), found))
    }

    /// Finds the backup that is to be copied to the target `to`, in another target. Where several
    /// hold it and one of them has the original, that is taken.
    ///
    /// # Errors
    /// As [`locate`](Self::locate), and [`Error::Invalid`] where `to` alone holds it, or only an
    /// incomplete copy is there.
    pub(crate) async fn locate_source(
        &self,
        id: &BackupId,
        to: &str,
    ) -> Result<(Repository, Result<Loaded>)> {
        let mut fault = Error::NotFound(id.to_string());
        let (mut holders, mut is_there) = (Vec::new(), false);
        for (repository, found) in answers(self.ask_all(id), |(_, found)| is_held(found)).await {
            match found {
                found if is_held(&found) => {
                    is_there |= repository.name() == to;
                    holders.push((repository, found));
                }
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => fault = error,
            }
        }
        if let Some([leg, ..]) = only_legs(&holders).as_deref() {
            check_one_run(id, &holders)?;
            return self.assemble(id, leg).await;
        }
        holders.retain(|(repository, _)| repository.name() != to);
        keep_original(&mut holders, &self.settings.backup.default_target);
        if let [_, _, ..] = holders[..] {
            let mut names: Vec<_> = holders.iter().map(|(one, _)| one.name()).collect();
            names.sort_unstable();
            return Err(Error::Invalid(format!(
                "backup `{id}` is in several targets ({}): say from which one it is copied (`target`, --from)",
                names.join(", ")
            )));
        }
        match (holders.pop(), fault) {
            (Some((repository, found)), _) => Ok((repository.clone(), found)),
            (None, Error::NotFound(_)) if is_there => Err(Error::Invalid(format!(
                "backup `{id}` is in target {to:?} alone: there is nothing to copy it from"
            ))),
            (None, fault) => match self.or_incomplete(id, None, fault).await {
                Error::Incomplete(id) => Err(Error::Invalid(format!(
                    "`{id}` is an incomplete copy of its source, and no backup: it is not copied to another target"
                ))),
                error => Err(error),
            },
        }
    }

    /// Asks all targets at once, so that a dead target does not delay the answer of another.
    pub(crate) fn ask_all<'a>(
        &'a self,
        id: &BackupId,
    ) -> FuturesUnordered<BoxFuture<'a, (&'a Repository, Result<Loaded>)>> {
        self.targets()
            .map(|(_, repository)| {
                let id = id.clone();
                async move { (repository, load(repository, &id).await) }.boxed()
            })
            .collect()
    }

    /// Finds a backup in `target`, or in the first target that answers with it; if that is a leg,
    /// the whole run.
    ///
    /// # Errors
    /// Returns [`Error::NotFound`] or [`Error::Incomplete`] if no target holds the backup,
    /// [`Error::Damaged`] if it is not a valid backup, [`Error::Unreadable`] if it cannot be read
    /// now, and [`Error::Invalid`] for an unknown target.
    pub async fn find(&self, id: &BackupId, target: Option<&str>) -> Result<(Repository, Loaded)> {
        self.check_place()?;
        match self.find_backup(id, target).await {
            Err(error) => Err(self.or_incomplete(id, target, error).await),
            found => found,
        }
    }

    async fn find_backup(
        &self,
        id: &BackupId,
        target: Option<&str>,
    ) -> Result<(Repository, Loaded)> {
        if target.is_some() {
            let repository = self.repository(target)?;
            return Ok((repository.clone(), load(repository, id).await?));
        }
        let mut fault = Error::NotFound(id.to_string());
        let mut asked = self.ask_all(id);
        while let Some((repository, found)) = asked.next().await {
            match found {
                Ok(loaded) if loaded.manifest.is_leg() => {
                    let (run, loaded) = self.assemble(id, &loaded.manifest).await?;
                    return Ok((run, loaded?));
                }
                Ok(loaded) => return Ok((repository.clone(), loaded)),
                Err(Error::NotFound(_)) => {}
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    /// Finds the target that holds the backup or leftovers of it, so that an interrupted deletion
    /// can be completed. Of a run, all legs are found, also where some are missing, and
    /// no copies of it.
    ///
    /// # Errors
    /// As [`locate`](Self::locate), and [`Error::Invalid`] for a single leg of a whole run.
    pub async fn locate_anything(&self, id: &BackupId, target: Option<&str>) -> Result<Repository> {
        self.check_place()?;
        if target.is_some() {
            let repository = self.repository(target)?;
            let found = load(repository, id).await;
            if let Ok(loaded) = &found
                && loaded.manifest.is_leg()
                && let Ok((run, Ok(_))) = self.assemble(id, &loaded.manifest).await
            {
                return Err(Error::Invalid(format!(
                    "backup `{id}` is over the targets {}: without one of its legs it could not be restored; delete all of it, \
                     without --target (`target`)",
                    run.names()
                )));
            }
            return match found {
                found if is_held(&found) => Ok(repository.clone()),
                Err(Error::NotFound(_)) if has_anything(repository, id).await? => {
                    Ok(repository.clone())
                }
                Err(error @ Error::NotFound(_)) => Err(self.or_deleted(id, target, error).await),
                found => found.map(|_| repository.clone()),
            };
        }
        let mut holders = Vec::new();
        let mut asked = self.ask_all(id);
        while let Some((repository, found)) = asked.next().await {
            // A dead target is reported below, if no other target holds the backup.
            if is_held(&found) {
                holders.push((repository, found));
            }
        }
        drop(asked);
        if let Some(legs) = only_legs(&holders) {
            return self.legs_to_delete(id, &legs).await;
        }
        let is_copy = holders.iter().all(is_copy);
        let mut holders: Vec<_> = holders.into_iter().map(|(one, _)| one).collect();
        if let Some(one) = only(id, &holders)? {
            if is_copy {
                self.check_no_leftovers(id, one).await?;
            }
            return Ok(one.clone());
        }
        let mut fault = Error::NotFound(id.to_string());
        let asked = (self.repositories.iter())
            .map(async |repository| (repository, has_anything(repository, id).await));
        for (repository, answer) in join_all(asked).await {
            match answer {
                Ok(true) => holders.push(repository),
                Ok(false) => {}
                Err(error) => fault = error,
            }
        }
        if holders.len() > 1 {
            let copies = join_all(holders.iter().map(|one| one.has_incomplete(id))).await;
            let are_leftovers = copies.iter().all(|copy| matches!(copy, Ok(false)));
            // An interrupted deletion of a run leaves some in each of its targets.
            if are_leftovers {
                let holders = holders.into_iter().cloned().collect();
                return Repository::of_legs(holders).ok_or(fault);
            }
        }
        match only(id, &holders)? {
            Some(holder) => Ok(holder.clone()),
            None if matches!(fault, Error::NotFound(_)) => {
                Err(self.or_deleted(id, target, fault).await)
            }
            None => Err(fault),
        }
    }

    /// Fails if another target holds leftovers of the backup whose copy `copy` holds: an
    /// interrupted deletion that is asked for again must not take the copy.
    async fn check_no_leftovers(&self, id: &BackupId, copy: &Repository) -> Result<()> {
        let others = (self.repositories.iter()).filter(|one| one.name() != copy.name());
        let asked = others.map(async |one| (one, has_anything(one, id).await));
        let answers = join_all(asked).await.into_iter();
        let left: Vec<_> = answers
            .filter(|(_, answer)| matches!(answer, Ok(true)))
            .map(|(one, _)| one.name())
            .collect();
        match left.is_empty() {
            true => Ok(()),
            false => Err(Error::Invalid(format!(
                "target {} holds a copy of backup `{id}`, and files of the deleted backup itself are left in {}: say which \
                 (`target`, --target)",
                copy.name(),
                left.join(", ")
            ))),
        }
    }

    /// Asks the targets whether they hold an incomplete copy with this id.
    async fn incomplete_holders(
        &self,
        id: &BackupId,
        target: Option<&str>,
    ) -> Vec<(&Repository, Result<bool>)> {
        let asked = (self.repositories.iter())
            .filter(|repository| target.is_none_or(|target| target == repository.name()))
            .map(|one| {
                async move {
                    (
                        one,
                        one.holds_incomplete(id)
                            .await
                            .map_err(|error| one.named(error)),
                    )
                }
                .boxed()
            })
            .collect();
        answers(asked, |(_, holds)| matches!(holds, Ok(true))).await
    }

    /// Turns [`Error::NotFound`] into [`Error::Incomplete`] if there is an incomplete copy.
    async fn or_incomplete(&self, id: &BackupId, target: Option<&str>, error: Error) -> Error {
        if !matches!(error, Error::NotFound(_)) {
            return error;
        }
        let holders = self.incomplete_holders(id, target).await;
        match holders.iter().any(|(_, holds)| matches!(holds, Ok(true))) {
            true => Error::Incomplete(id.to_string()),
            false => self.or_deleted(id, target, error).await,
        }
    }

    /// Adds to [`Error::NotFound`] that the backup was deleted, where other backups still need
    /// files of it.
    async fn or_deleted(&self, id: &BackupId, target: Option<&str>, error: Error) -> Error {
        let asked = (self.repositories.iter())
            .filter(|repository| target.is_none_or(|target| target == repository.name()))
            .map(|one| async move { (one, one.retained_count(id).await) }.boxed())
            .collect();
        let answers = answers(asked, |(_, count)| matches!(count, Ok(Some(_)))).await;
        let found = answers.into_iter().find_map(|(one, count)| {
            let count = count.ok().flatten()?;
            Some((one.name(), count))
        });
        match found {
            Some((name, count)) => error.context(format!(
                "it was deleted from target {name}; other backups still use {count} of its files, which go with the last of these"
            )),
            None => error,
        }
    }

    /// Finds the backup for a restore; with `allow_incomplete`, also an incomplete copy with this
    /// id. Of a backup and its copies in other targets, it is the backup.
    ///
    /// # Errors
    /// Fails like [`locate`](Self::locate). Returns [`Error::Invalid`] if there is only an
    /// incomplete copy and `allow_incomplete` is false.
    pub async fn find_to_restore(
        &self,
        id: &BackupId,
        target: Option<&str>,
        allow_incomplete: bool,
    ) -> Result<(Repository, Loaded)> {
        self.check_place()?;
        let mut fault = match (self.locate_backup(id, target, Several::TakeOriginal)).await {
            Ok((repository, loaded)) => {
                let loaded = loaded?;
                check_whole(&repository, id, &loaded)?;
                return Ok((repository, loaded));
            }
            Err(error @ (Error::NotFound(_) | Error::Target { .. })) => error,
            Err(error) => return Err(error),
        };
        let mut holders = Vec::new();
        for (repository, holds) in self.incomplete_holders(id, target).await {
            match holds {
                Ok(true) => holders.push(repository),
                Ok(false) => {}
                // This target may hold the copy, so the answer is not "not found".
                Err(error) if matches!(fault, Error::NotFound(_)) => fault = error,
                Err(_) => {}
            }
        }
        let repository = match only(id, &holders)? {
            Some(holder) => holder,
            None if matches!(fault, Error::NotFound(_)) => {
                return Err(self.or_deleted(id, target, fault).await);
            }
            None => return Err(fault),
        };
        if !allow_incomplete {
            return Err(Error::Invalid(
                Error::Incomplete(id.to_string()).to_string(),
            ));
        }
        let copy = repository.incomplete();
        let loaded = load(&copy, id).await?;
        check_whole(&copy, id, &loaded)?;
        Ok((copy, loaded))
    }
}

/// Collects the answers. Once one answer `is_enough`, the others have [`OTHERS_TIMEOUT`].
async fn answers<T>(
    mut asked: FuturesUnordered<BoxFuture<'_, T>>,
    is_enough: impl Fn(&T) -> bool,
) -> Vec<T> {
    let mut answers = Vec::new();
    let mut until = None;
    loop {
        let next = asked.next();
        let next = match until {
            None => next.await,
            Some(until) => tokio::time::timeout_at(until, next).await.unwrap_or(None),
        };
        let Some(answer) = next else {
            return answers;
        };
        if is_enough(&answer) {
            until.get_or_insert_with(|| tokio::time::Instant::now() + OTHERS_TIMEOUT);
        }
        answers.push(answer);
    }
}

/// Loads a backup from a target. The error names the target.
async fn load(repository: &Repository, id: &BackupId) -> Result<Loaded> {
    (repository.load(id).await).map_err(|error| repository.named(error))
}

/// Whether the target holds the backup, readable or not.
fn is_held(found: &Result<Loaded>) -> bool {
    matches!(
        found,
        Ok(_) | Err(Error::Damaged { .. } | Error::Unreadable { .. })
    )
}

/// The legs, if the readable ones among the holders are all legs or copies of their run. A copy is
/// whole: no run needs it.
fn only_legs<'a>(holders: &'a [(&Repository, Result<Loaded>)]) -> Option<Vec<&'a Manifest>> {
    let originals: Vec<_> = (holders.iter())
        .filter_map(|(_, found)| found.as_ref().ok())
        .map(|loaded| &loaded.manifest)
        .filter(|manifest| manifest.copied_from.is_none())
        .collect();
    let are_legs = !originals.is_empty() && originals.iter().all(|one| one.is_leg());
    are_legs.then_some(originals)
}

/// What is done where several targets hold a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Several {
    /// One has to be named.
    Refuse,
    /// The one that it was made in is taken, where the others hold copies of it.
    TakeOriginal,
}

/// Fails if the readable legs are of different runs.
fn check_one_run(id: &BackupId, holders: &[(&Repository, Result<Loaded>)]) -> Result<()> {
    let mut runs = (holders.iter()).filter_map(|(repository, found)| {
        let run = found.as_ref().ok()?.manifest.run()?;
        Some((repository.name(), run))
    });
    let first = runs.next();
    let other = runs.find(|(_, run)| first.as_ref().is_some_and(|(_, one)| one != run));
    match (first, other) {
        (Some((a, _)), Some((b, _))) => Err(Error::Damaged {
            id: id.to_string(),
            detail: format!("the targets `{a}` and `{b}` hold legs of different runs"),
        }),
        _ => Ok(()),
    }
}

/// Returns the only holder of a backup; fails if there are several.
fn only<'a>(id: &BackupId, holders: &[&'a Repository]) -> Result<Option<&'a Repository>> {
    if holders.len() > 1 {
        let mut names: Vec<_> = (holders.iter()).map(|one| one.name()).collect();
        names.sort_unstable();
        return Err(Error::Invalid(format!(
            "backup `{id}` is in several targets ({}): say which (`target`, --target)",
            names.join(", ")
        )));
    }
    Ok(holders.first().copied())
}

/// Whether the target holds anything with this id: leftovers, or an incomplete copy.
async fn has_anything(repository: &Repository, id: &BackupId) -> Result<bool> {
    let asked =
        async { Ok(repository.has_anything_of(id).await? || repository.has_incomplete(id).await?) };
    asked.await.map_err(|error| repository.named(error))
}
