//! The plan of a prune: what stays, what goes, and why.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::manifest::BackupId;
use crate::operations::ArcBackup;
use crate::operations::delete::Estimator;
use crate::operations::prune::PruneOptions;
use crate::operations::prune::candidates::{self, Found, Whose};
use crate::repository::{BackupState, Repository};
use crate::retention::{Pinned, Policies, evaluate_all};
use crate::{Error, Result};

/// For how long a backup is kept whose copy fails.
const LONGEST_COPY: SignedDuration = SignedDuration::from_hours(24 * 7);

/// What a prune of a target does at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PrunePlan {
    /// The target.
    pub target: String,
    /// When the plan was made.
    pub made_at: Timestamp,
    /// All backups of the target, newest first.
    pub backups: Vec<PlannedBackup>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A backup of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedBackup {
    /// Its id.
    pub backup_id: String,
    /// When it was made; `None` where it can't be read.
    pub created_at: Option<Timestamp>,
    /// What is known of it.
    pub state: BackupState,
    /// The databases that it is limited to, sorted; empty where it has all of them.
    pub scope: Vec<String>,
    /// The schedule that it was made for.
    pub schedule: Option<String>,
    /// Whether a pin keeps it.
    pub is_locked: bool,
    /// All targets that hold it, or a leg of it.
    pub targets: Vec<String>,
    /// Whether it stays.
    pub keep: bool,
    /// Why, or why not.
    pub reasons: Vec<String>,
    /// Files that go with it, where it goes and that is known.
    pub freed_files: Option<u64>,
    /// Their bytes.
    pub freed_bytes: Option<u64>,
}

impl PrunePlan {
    /// The backups that go, oldest first: the order in which they are deleted.
    pub fn deletions(&self) -> impl Iterator<Item = &PlannedBackup> {
        self.backups.iter().rev().filter(|one| !one.keep)
    }

    /// The number of backups that go, their files and bytes.
    #[must_use]
    pub fn totals(&self) -> (u64, u64, u64) {
        let sum = |of: fn(&PlannedBackup) -> Option<u64>| self.deletions().filter_map(of).sum();
        let count = self.deletions().count() as u64;
        (
            count,
            sum(|one| one.freed_files),
            sum(|one| one.freed_bytes),
        )
    }
}

impl ArcBackup {
    /// Returns what a prune would do now, and what that frees. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown target; otherwise where the target can't be listed.
    pub async fn plan_prune(&self, options: &PruneOptions) -> Result<PrunePlan> {
        let mut plan = self.decide_prune(options).await?;
        if let Err(error) = self.estimate(&mut plan).await {
            plan.warnings.push(format!(
                "nobody knows what the deletions free, and they may fail: {error}"
            ));
        }
        Ok(plan)
    }

    /// Works out what each deletion of the plan frees, after those before it.
    async fn estimate(&self, plan: &mut PrunePlan) -> Result<()> {
        let count = plan.deletions().count();
        if count == 0 {
            return Ok(());
        }
        let scratch = self.scratch.for_reading()?;
        let mut estimator = Estimator::new(scratch.path(), count);
        let target = self.repository(Some(&plan.target))?;
        for planned in plan.backups.iter_mut().rev().filter(|one| !one.keep) {
            let id = BackupId::parse(&planned.backup_id)?;
            let freed = match planned.targets.len() {
                1 => estimator.add(target, &id).await?,
                _ => {
                    let run = self.locate_anything(&id, None).await?;
                    estimator.add(&run, &id).await?
                }
            };
            planned.freed_files = Some(freed.freed_files);
            planned.freed_bytes = Some(freed.freed_bytes);
        }
        Ok(())
    }

    /// The same without what it frees.
    pub(super) async fn decide_prune(&self, options: &PruneOptions) -> Result<PrunePlan> {
        let repository = self.repository(options.target.as_deref())?;
        // Never an earlier list: a backup that is decided on was there a moment ago.
        let answer = self.list(Some(repository.name()), false).await?;
        let is_of = |name: &str| name == repository.name();
        if let Some(failed) = answer.errors.iter().find(|error| is_of(&error.target)) {
            // The same error, as what it is.
            let again = repository.list().await;
            let error = again.err().map(|error| repository.named(error));
            return Err(error.unwrap_or_else(|| Error::Failed(failed.detail.clone())));
        }
        let (now, own) = (Timestamp::now(), self.instance());
        let whose = Whose {
            own: own.as_deref(),
            include_foreign: options.include_foreign,
        };
        let mut found = candidates::find(repository.name(), &answer, whose, now);
        keep_to_copy(&mut found, &self.retention.to_copy(), now);
        let policies = self.policies(repository.name(), options)?;
        let mut plan = made(repository, found, &policies, now);
        plan.warnings = warnings(&plan, &policies, whose);
        Ok(plan)
    }

    /// The rules for the backups of a target.
    fn policies(&self, target: &str, options: &PruneOptions) -> Result<Policies> {
        Ok(match options.rules {
            Some(rules) => Policies::of(rules, self.settings.retention.zone.clone()),
            None => self.retention()?.policies(target),
        })
    }
}

/// Keeps backups that are still to be copied, unless the copy fails for days.
fn keep_to_copy(found: &mut [Found], to_copy: &BTreeMap<String, String>, now: Timestamp) {
    for candidate in found.iter_mut().map(|one| &mut one.candidate) {
        if let Some(to) = to_copy.get(&candidate.id)
            && candidate.pin.is_none()
            && now.duration_since(candidate.time) < LONGEST_COPY
        {
            candidate.pin = Some(Pinned {
                reason: Some(format!("it is still to be copied to {to}")),
                until: None,
            });
        }
    }
}

fn made(
    repository: &Repository,
    found: Vec<Found>,
    policies: &Policies,
    now: Timestamp,
) -> PrunePlan {
    let candidates: Vec<_> = found.iter().map(|one| one.candidate.clone()).collect();
    let mut by_id: HashMap<String, Found> = (found.into_iter())
        .map(|one| (one.candidate.id.clone(), one))
        .collect();
    let decisions = evaluate_all(&candidates, policies, now).into_iter();
    let backups = decisions.filter_map(|decision| {
        let found = by_id.remove(&decision.id)?;
        Some(PlannedBackup {
            backup_id: decision.id,
            created_at: Some(found.candidate.time).filter(|time| *time != Timestamp::MIN),
            state: found.state,
            scope: found.candidate.scope,
            schedule: found.candidate.schedule,
            is_locked: found.is_pinned,
            targets: found.targets,
            keep: decision.keep,
            reasons: decision.reasons,
            freed_files: None,
            freed_bytes: None,
        })
    });
    PrunePlan {
        target: repository.name().to_owned(),
        made_at: now,
        backups: backups.collect(),
        warnings: Vec::new(),
    }
}

fn warnings(plan: &PrunePlan, policies: &Policies, whose: Whose<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let schedules = policies.of_schedules.values();
    if policies.of_target.rules.is_empty() && schedules.into_iter().all(|one| one.rules.is_empty())
    {
        warnings.push(format!(
            "no retention rule applies to target {}: everything is kept; set one in `[arc_backup.retention]`, such as \
             `keep_daily = 7`, or give it (--keep-daily 7, keep_daily)",
            plan.target
        ));
    }
    let with = |reason: &str| {
        let has = |one: &&PlannedBackup| one.reasons.iter().any(|of| of == reason);
        plan.backups.iter().filter(has).count()
    };
    let foreign = with("not made by this instance");
    if whose.own.is_none() && foreign > 0 {
        warnings.push(
            "this instance has no name yet, as its state folder (`backup.state_path`) is new: no backup counts as its own"
                .to_owned(),
        );
    }
    if foreign > 0 {
        warnings.push(format!(
            "{foreign} backups that this instance did not make are kept; --include-foreign (include_foreign) prunes them too"
        ));
    }
    let future = with("dated in the future");
    if future > 0 {
        warnings.push(format!(
            "{future} backups are dated in the future, and are kept: check the clocks of the hosts that made them"
        ));
    }
    warnings
}
