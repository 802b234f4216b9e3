//! The steps of a prune.

use std::collections::BTreeSet;

use crate::operations::context::Context;
use crate::operations::delete::Deleter;
use crate::operations::problems::Problems;
use crate::operations::prune::PruneOptions;
use crate::operations::prune::deletion::{Outcome, delete};
use crate::operations::prune::faults::{ends, may_pass};
use crate::operations::{ArcBackup, Phase, ProblemKind};
use crate::repository::{Freed, Repository};
use crate::{Error, Result};

/// Deletes the backups that no rule keeps, oldest first: an interrupted prune leaves the newer
/// ones. One that can't be deleted is a problem, and the others go on. One that was refused because
/// of another is tried again when that is gone.
pub(crate) async fn run(
    engine: &ArcBackup,
    context: &Context,
    options: &PruneOptions,
) -> Result<()> {
    context.running.phase(Phase::Checking);
    // Made with the lock held: what an earlier plan said may have changed.
    let plan = context.or_cancelled(engine.decide_prune(options)).await?;
    for warning in &plan.warnings {
        context.warn(warning.clone());
    }
    context.running.phase(Phase::Deleting);
    context.running.update(|operation| {
        for count in [
            &mut operation.freed_files,
            &mut operation.freed_bytes,
            &mut operation.retained_files,
            &mut operation.retained_bytes,
        ] {
            *count = Some(0);
        }
    });
    let mut problems = Problems::new(&context.running);
    // One for all: what other backups need is read once.
    let mut deleter = Deleter::new(context);
    let mut deleted = 0;
    let mut pending: Vec<_> = plan.deletions().collect();
    loop {
        let (mut refused, mut may_pass_now) = (Vec::new(), false);
        for planned in pending {
            context.check_cancelled()?;
            match delete(engine, context, &mut deleter, planned).await {
                Ok(Outcome::Deleted(freed)) => {
                    deleted += 1;
                    may_pass_now |= !refused.is_empty();
                    report(context, &planned.backup_id, &freed);
                }
                Ok(Outcome::Kept(why)) => {
                    context.warn(format!("{} was kept: {why}", planned.backup_id));
                }
                Err(error) if ends(&error) => {
                    let all = plan.deletions().count();
                    return Err(error.context(format!(
                        "{deleted} of {all} backups were deleted: prune again to delete the others"
                    )));
                }
                Err(error) if may_pass(&error) => refused.push((planned, error)),
                Err(error) => {
                    problems.add(&*planned.backup_id, ProblemKind::Delete, error.to_string());
                }
            }
        }
        if !may_pass_now {
            for (planned, error) in refused {
                problems.add(&*planned.backup_id, ProblemKind::Delete, error.to_string());
            }
            break;
        }
        pending = refused.into_iter().map(|(planned, _)| planned).collect();
    }
    problems.failure("not everything could be deleted")
}

fn report(context: &Context, id: &str, freed: &Freed) {
    context.running.update(|operation| {
        operation.deleted_backups.push(id.to_owned());
        let add = |total: &mut Option<u64>, more: u64| *total = Some(total.unwrap_or(0) + more);
        add(&mut operation.freed_files, freed.freed_files);
        add(&mut operation.freed_bytes, freed.freed_bytes);
        add(&mut operation.retained_files, freed.retained_files);
        add(&mut operation.retained_bytes, freed.retained_bytes);
    });
}

impl ArcBackup {
    /// The target to prune, with every other one that holds a leg of a backup in it: their locks
    /// are needed too.
    pub(crate) async fn repository_to_prune(&self, options: &PruneOptions) -> Result<Repository> {
        self.check_place()?;
        let repository = self.repository(options.target.as_deref())?;
        if self.repositories.len() == 1 {
            return Ok(repository.clone());
        }
        let listed = self.list(Some(repository.name()), false).await?;
        let of_runs: BTreeSet<String> = (listed.backups.into_iter())
            .filter(|one| one.target == repository.name())
            .flat_map(|one| one.targets)
            .filter(|name| name != repository.name())
            .collect();
        let others = (of_runs.iter()).filter_map(|name| self.repository(Some(name)).ok());
        let legs: Vec<_> = [repository].into_iter().chain(others).cloned().collect();
        match legs.len() {
            1 => Ok(repository.clone()),
            _ => Repository::of_legs(legs)
                .ok_or_else(|| Error::Failed("a target without itself".to_owned())),
        }
    }
}
