//! The list of the backups of all targets.

use std::collections::BTreeSet;

use futures::future::join_all;

use crate::Result;
use crate::manifest::BackupId;
use crate::operations::legs::grouping::{Grouped, IncompleteRun, group};
use crate::operations::owner::Owner;
use crate::operations::{ArcBackup, ListAnswer, TargetError};
use crate::repository::{Freshness, Listing, Repository, Summary, sort_newest_first};

impl ArcBackup {
    /// Lists the backups of all targets, or of one, newest first; with `all`, also the incomplete
    /// copies. The legs of a run are one entry. An unreachable target becomes an error in the
    /// answer and hides no backup of another target. Every manifest is read: this is the list for
    /// whatever acts on it.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`](crate::Error::Invalid) for an unknown target.
    pub async fn list(&self, target: Option<&str>, all: bool) -> Result<ListAnswer> {
        self.list_with(target, all, Freshness::Now).await
    }

    /// The same, as fresh as it is asked for: [`Freshness::Recent`] is for display.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_with(
        &self,
        target: Option<&str>,
        all: bool,
        freshness: Freshness,
    ) -> Result<ListAnswer> {
        self.check_place()?;
        let repositories: Vec<&Repository> = match target {
            Some(_) => vec![self.repository(target)?],
            None => self.repositories.iter().collect(),
        };
        let listings = (repositories.iter()).map(async |repository| {
            let incomplete = async {
                match all {
                    true => repository.list_incomplete().await,
                    false => Ok(Vec::new()),
                }
            };
            let (listing, incomplete) = futures::join!(repository.list_with(freshness), incomplete);
            Ok::<_, crate::Error>((listing?, incomplete?))
        });
        let listings = join_all(listings).await;
        let mut answer = ListAnswer {
            incomplete: all.then(Vec::new),
            ..ListAnswer::default()
        };
        let owner = Owner::of(&self.settings);
        let (mut summaries, mut listed) = (Vec::new(), BTreeSet::new());
        for (repository, listing) in repositories.iter().zip(listings) {
            match listing {
                Ok((mut listing, incomplete)) => {
                    for backup in &mut listing.backups {
                        backup.is_foreign = owner.is_foreign(backup);
                    }
                    answer
                        .incomplete
                        .iter_mut()
                        .for_each(|all| all.extend(incomplete.clone()));
                    summaries.extend(listing.backups);
                    answer.damaged.extend(listing.damaged);
                    answer.unreadable.extend(listing.unreadable);
                    listed.insert(repository.name());
                }
                Err(error) => answer.errors.push(TargetError {
                    target: repository.name().to_owned(),
                    detail: error.to_string(),
                }),
            }
        }
        if target.is_some() && summaries.iter().any(|one| one.leg.is_some()) {
            // Their legs make the runs whole.
            let others = (self.repositories.iter())
                .filter(|one| !repositories.iter().any(|asked| asked.name() == one.name()))
                .map(async |one| (one.name(), one.list_with(freshness).await));
            for (name, listing) in join_all(others).await {
                if let Ok(listing) = listing {
                    let mut legs = listing.backups;
                    legs.retain_mut(|one| {
                        one.is_foreign = owner.is_foreign(one);
                        one.leg.is_some()
                    });
                    summaries.extend(legs);
                    listed.insert(name);
                }
            }
        }
        let unused = self.unused(&listed, &summaries).await;
        let is_unknown = |target: &str, id: &str| {
            let is_unreadable =
                (answer.unreadable.iter()).any(|one| one.target == target && one.backup_id == id);
            is_unreadable || !listed.contains(target) || unused.contains(target)
        };
        let Grouped {
            mut backups,
            mut incomplete,
        } = group(summaries, is_unknown);
        if let Some(target) = target {
            let is_target = |name: &String| name == target;
            backups.retain(|one| one.targets.iter().any(is_target));
            incomplete.retain(|run| {
                run.targets
                    .iter()
                    .chain(&run.missing_targets)
                    .any(is_target)
            });
        }
        let own = self.instance();
        for run in &mut incomplete {
            let is_other = own.is_some() && run.instance.is_some() && run.instance != own;
            if run.is_foreign || is_other {
                run.of_another_instance();
            }
        }
        answer.unreachable_targets = self.unreachable(&answer.errors, &backups, &|name: &str| {
            !listed.contains(name) || unused.contains(name)
        });
        answer.backups = backups;
        sort_newest_first(&mut answer.backups);
        for run in incomplete {
            if !self.is_changing(&run).await {
                answer.incomplete_runs.push(run);
            }
        }
        (answer.incomplete_runs).sort_by(|a, b| b.backup_id.cmp(&a.backup_id));
        if let Some(incomplete) = &mut answer.incomplete {
            incomplete.sort_by(|a, b| b.backup_id.cmp(&a.backup_id));
        }
        Ok(answer)
    }

    /// The targets that do not answer, and those of runs that are not configured here, or could not
    /// be listed.
    fn unreachable(
        &self,
        errors: &[TargetError],
        backups: &[Summary],
        is_unlisted: &dyn Fn(&str) -> bool,
    ) -> Vec<String> {
        let partial = backups.iter().filter(|one| one.partial_view);
        let of_runs = partial.flat_map(|one| one.targets.iter());
        let unknown = of_runs.filter(|name| is_unlisted(name));
        let all: BTreeSet<_> = (errors.iter().map(|error| &error.target))
            .chain(unknown)
            .collect();
        all.into_iter().cloned().collect()
    }

    /// The targets that runs name, and that nothing was ever written to: a folder where a file
    /// system is not mounted looks like that.
    async fn unused(&self, listed: &BTreeSet<&str>, summaries: &[Summary]) -> BTreeSet<String> {
        let runs = summaries.iter().filter_map(|one| one.leg.as_ref());
        let named: BTreeSet<_> = runs.flat_map(|leg| leg.run.targets.iter()).collect();
        let mut unused = BTreeSet::new();
        for repository in &self.repositories {
            let name = repository.name();
            let is_empty = !summaries.iter().any(|one| one.target == name);
            if is_empty
                && listed.contains(name)
                && named.iter().any(|one| *one == name)
                && repository.is_unused().await.unwrap_or(true)
            {
                unused.insert(name.to_owned());
            }
        }
        unused
    }

    /// Whether an operation is making or deleting the run at this moment: it holds the locks of its
    /// targets.
    async fn is_changing(&self, run: &IncompleteRun) -> bool {
        let names = || run.targets.iter().chain(&run.missing_targets);
        let of_run = (self.repositories.iter())
            .filter(|repository| names().any(|name| name == repository.name()));
        let holders = join_all(of_run.map(Repository::lock_holder)).await;
        holders
            .into_iter()
            .flatten()
            .flatten()
            .any(|holder| holder.backup_id.as_deref() == Some(&*run.backup_id) && !holder.is_dead())
    }

    /// Returns the backups of this instance in a target that have all databases, are not known to
    /// be damaged, and omit least: one without SQLite databases counts only where no other is
    /// there. Backups that name no instance, such as Arc's own, count too. A leg counts if its run
    /// is whole.
    ///
    /// # Errors
    /// Fails if the target is unknown or cannot be listed.
    pub async fn good_backups(&self, target: &str) -> Result<Vec<BackupId>> {
        let listing = self.repository(Some(target))?.list().await?;
        let (own, owner) = (self.instance(), Owner::of(&self.settings));
        let is_own = |of: &Option<String>| own.is_none() || of.is_none() || *of == own;
        let backups = self.without_incomplete_runs(target, listing).await?.backups;
        let counts = |one: &&Summary| {
            one.state.is_good()
                && !one.note_unreadable
                && one.is_whole()
                && is_own(&one.instance)
                && !owner.is_foreign(one)
        };
        let good: Vec<_> = backups.iter().filter(counts).collect();
        let least = good.iter().map(|one| one.omitted).min();
        let ids = (good.into_iter()).filter(|one| Some(one.omitted) == least);
        Ok(ids
            .filter_map(|one| BackupId::parse(&one.backup_id).ok())
            .collect())
    }

    /// Returns the backups with a leg in a target that can't be seen whole now: they may be good.
    ///
    /// # Errors
    /// Fails if the target is unknown.
    pub async fn partly_seen_backups(&self, target: &str) -> Result<Vec<BackupId>> {
        let listed = self.list(Some(target), false).await?.backups;
        let partial = (listed.iter()).filter(|one| one.partial_view && one.state.is_good());
        Ok(partial
            .filter_map(|one| BackupId::parse(&one.backup_id).ok())
            .collect())
    }

    /// The listing of a target without the legs of runs that are not known to be whole.
    async fn without_incomplete_runs(&self, target: &str, mut listing: Listing) -> Result<Listing> {
        if listing.backups.iter().any(|one| one.leg.is_some()) {
            let all = self.list(None, false).await?.backups;
            listing.backups.retain_mut(|one| {
                let is_whole = |run: &&Summary| {
                    run.backup_id == one.backup_id
                        && !run.partial_view
                        && run.targets.iter().any(|name| name == target)
                };
                let Some(leg) = &one.leg else { return true };
                let run = (all.iter().filter(|run| run.leg.is_some())).find(is_whole);
                if let Some(run) = run.filter(|_| leg.fault.is_none()) {
                    one.state = run.state;
                    one.scope.clone_from(&run.scope);
                    one.omitted = run.omitted;
                    one.note_unreadable = run.note_unreadable;
                    return true;
                }
                false
            });
        }
        Ok(listing)
    }
}
