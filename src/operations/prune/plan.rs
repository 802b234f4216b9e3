//! The plan of a prune: what stays, what goes, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::manifest::BackupId;
use crate::operations::ArcBackup;
use crate::operations::delete::Estimator;
use crate::operations::prune::PruneOptions;
use crate::operations::prune::candidates::{self, Found, Whose};
use crate::operations::prune::faults::{ends, may_pass};
use crate::repository::{BackupState, Damage, Freed, Repository};
use crate::retention::{Candidate, CandidateState, Pinned, Policies, Unknown, evaluate_all};
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

    /// Whether it is known of every backup that goes what that frees. Otherwise the
    /// [`totals`](Self::totals) are of those of which it is known.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.deletions().all(|one| one.freed_files.is_some())
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
                "cannot work out the space that the deletions free, and they may fail: {error}"
            ));
        }
        Ok(plan)
    }

    /// Works out what each deletion of the plan frees, after those before it. As in the prune, one
    /// that is refused because of another is looked at again after that. One that is refused all
    /// the same has the fault among its reasons.
    async fn estimate(&self, plan: &mut PrunePlan) -> Result<()> {
        let places = (0..plan.backups.len()).rev();
        let mut pending: Vec<_> = places.filter(|at| !plan.backups[*at].keep).collect();
        if pending.is_empty() {
            return Ok(());
        }
        let scratch = self.scratch.for_reading()?;
        let mut estimator = Estimator::new(scratch.path(), pending.len());
        let target = self.repository(Some(&plan.target))?;
        let mut faults = Vec::new();
        loop {
            let (mut refused, mut may_pass_now) = (Vec::new(), false);
            for at in pending {
                let planned = &mut plan.backups[at];
                match self.estimate_one(&mut estimator, target, planned).await {
                    Ok(freed) => {
                        planned.freed_files = Some(freed.freed_files);
                        planned.freed_bytes = Some(freed.freed_bytes);
                        may_pass_now |= !refused.is_empty();
                    }
                    Err(error) if ends(&error) => return Err(error),
                    Err(error) if may_pass(&error) => refused.push((at, error)),
                    Err(error) => faults.push((at, error)),
                }
            }
            if !may_pass_now {
                faults.extend(refused);
                break;
            }
            pending = refused.into_iter().map(|(at, _)| at).collect();
        }
        for (at, error) in faults {
            let reason = format!("may fail: {error}");
            plan.backups[at].reasons.push(reason);
        }
        Ok(())
    }

    async fn estimate_one(
        &self,
        estimator: &mut Estimator<'_>,
        target: &Repository,
        planned: &PlannedBackup,
    ) -> Result<Freed> {
        let id = BackupId::parse(&planned.backup_id)?;
        match planned.targets.len() {
            1 => estimator.add(target, &id).await,
            _ => {
                let run = self.locate_anything(&id, None).await?;
                estimator.add(&run, &id).await
            }
        }
    }

    /// The backups of a target as retention rules see them, and what damage was found there last,
    /// with how many of them may share it.
    async fn found(
        &self,
        repository: &Repository,
        whose: Whose<'_>,
        now: Timestamp,
    ) -> Result<(Vec<Found>, Option<(Damage, usize)>)> {
        // Never an earlier list: a backup that is decided on was there a moment ago.
        let answer = self.list(Some(repository.name()), false).await?;
        let is_of = |name: &str| name == repository.name();
        if let Some(failed) = answer.errors.iter().find(|error| is_of(&error.target)) {
            // The same error, as what it is.
            let again = repository.list().await;
            let error = again.err().map(|error| repository.named(error));
            return Err(error.unwrap_or_else(|| Error::Failed(failed.detail.clone())));
        }
        let mut found = candidates::find(repository.name(), &answer, whose, now);
        let damage = repository.last_damage().await?;
        let in_doubt = damage.map(|damage| {
            let count = candidates::doubt(&mut found, damage.at);
            (damage, count)
        });
        Ok((found, in_doubt))
    }

    /// The backups of a target as the rules of a prune see them at `now`.
    ///
    /// # Errors
    /// As [`plan_prune`](Self::plan_prune).
    pub(crate) async fn retention_candidates(
        &self,
        target: &str,
        now: Timestamp,
    ) -> Result<Vec<Candidate>> {
        let own = self.instance();
        let whose = Whose {
            own: own.as_deref(),
            include_foreign: false,
        };
        let (found, _) = self
            .found(self.repository(Some(target))?, whose, now)
            .await?;
        Ok(found.into_iter().map(|one| one.candidate).collect())
    }

    /// The same without what it frees.
    pub(super) async fn decide_prune(&self, options: &PruneOptions) -> Result<PrunePlan> {
        let repository = self.repository(options.target.as_deref())?;
        let (now, own) = (Timestamp::now(), self.instance());
        let whose = Whose {
            own: own.as_deref(),
            include_foreign: options.include_foreign,
        };
        let (mut found, in_doubt) = self.found(repository, whose, now).await?;
        keep_to_copy(&mut found, &options.to_copy, now);
        let policies = self.policies(repository.name(), options)?;
        let unread = (found.iter())
            .filter(|one| one.candidate.state == CandidateState::Unknown(Unknown::Note))
            .map(|one| unread_note(&one.candidate.id))
            .collect::<Vec<_>>();
        let counts = Counts::of(&found, now);
        let mut plan = made(repository, found, &policies, now);
        plan.warnings = warnings(&plan, &policies, whose, &counts);
        plan.warnings.extend(unread);
        if let Some((damage, count)) = in_doubt.filter(|(_, count)| *count > 0) {
            plan.warnings.push(format!(
                "damage was found in backup `{}` at {}: {count} backups that were made before may share the damaged files, and \
                 do not count towards any rule; run a full verification of each",
                damage.backup_id, damage.at
            ));
        }
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

fn unread_note(id: &str) -> String {
    format!(
        "the note of backup `{id}` can't be read, so it may be pinned or damaged: it is kept, and does not count towards any rule; \
         verify it"
    )
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

/// Backups that are kept whatever the rules say.
struct Counts {
    /// Those that this instance did not make.
    foreign: usize,
    /// Those that are dated in the future.
    future: usize,
}

impl Counts {
    fn of(found: &[Found], now: Timestamp) -> Self {
        let candidates = || found.iter().map(|one| &one.candidate);
        let is_known = |one: &&Candidate| !matches!(one.state, CandidateState::Unknown(_));
        let ours = candidates().filter(|one| one.is_ours).filter(is_known);
        Self {
            foreign: candidates().filter(|one| !one.is_ours).count(),
            future: ours.filter(|one| one.time > now).count(),
        }
    }
}

fn warnings(
    plan: &PrunePlan,
    policies: &Policies,
    whose: Whose<'_>,
    counts: &Counts,
) -> Vec<String> {
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
    let &Counts { foreign, future } = counts;
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
    let removed: BTreeSet<_> = (plan.backups.iter())
        .filter_map(|one| one.schedule.as_deref())
        .filter(|name| !policies.knows(name))
        .collect();
    if !removed.is_empty() {
        let names: Vec<_> = removed.into_iter().collect();
        warnings.push(format!(
            "the backups of schedules that are not configured ({}) are kept: configure the schedule again, with its `retention` and `paused = true`, \
             or give rules for all backups (--keep-daily 7, keep_daily)",
            names.join(", ")
        ));
    }
    if future > 0 {
        warnings.push(format!(
            "{future} backups are dated in the future, and are kept: check the clocks of the hosts that made them"
        ));
    }
    warnings
}
