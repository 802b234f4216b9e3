//! The legs in the lists of the targets, as one entry for each run.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::Run;
use crate::repository::{BackupState, LastVerified, Listing, Summary};

/// A run of which a leg is missing although its target answers: it can't be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncompleteRun {
    /// The backup's id.
    pub backup_id: String,
    /// The targets that hold a leg.
    pub targets: Vec<String>,
    /// The targets that should hold one, and do not.
    pub missing_targets: Vec<String>,
    /// What is wrong and what to do, for people.
    pub detail: String,
    /// The instance that made it: a random name.
    pub instance: Option<String>,
    /// Whether it is known to be a backup of another instance.
    pub is_foreign: bool,
}

/// The entries of a list, with one for each run.
#[derive(Debug, Default)]
pub(crate) struct Grouped {
    pub(crate) backups: Vec<Summary>,
    pub(crate) incomplete: Vec<IncompleteRun>,
}

impl IncompleteRun {
    /// Says that the run is of another instance, whose targets may be others.
    pub(crate) fn of_another_instance(&mut self) {
        let missing = self.missing_targets.join(", ");
        self.detail = format!(
            "made by another instance, and not to be seen whole from here (no leg in target {missing}): its target of that name may be \
             another one; leave it to that instance"
        );
    }
}

/// Makes one entry of the legs of each run. `unknown` says whether it is not known what a target
/// holds of a backup.
pub(crate) fn group(
    summaries: impl IntoIterator<Item = Summary>,
    unknown: impl Fn(&str, &str) -> bool,
) -> Grouped {
    let mut grouped = Grouped::default();
    let mut runs: BTreeMap<String, Vec<(Run, Vec<Summary>)>> = BTreeMap::new();
    for summary in summaries {
        let Some(leg) = &summary.leg else {
            grouped.backups.push(summary);
            continue;
        };
        let run = leg.run.clone();
        let of_id = runs.entry(summary.backup_id.clone()).or_default();
        match of_id.iter_mut().find(|(other, _)| *other == run) {
            Some((_, legs)) => legs.push(summary),
            None => of_id.push((run, vec![summary])),
        }
    }
    for (run, legs) in runs.into_values().flatten() {
        match one_of(&run, legs, &unknown) {
            Ok(summary) => grouped.backups.push(summary),
            Err(incomplete) => grouped.incomplete.push(incomplete),
        }
    }
    grouped
}

/// The entry of a run.
fn one_of(
    run: &Run,
    legs: Vec<Summary>,
    unknown: &impl Fn(&str, &str) -> bool,
) -> Result<Summary, IncompleteRun> {
    let id = legs.first().map_or("", |leg| &leg.backup_id).to_owned();
    let is_in_place = |one: &Summary| one.leg.as_ref().is_some_and(|leg| leg.fault.is_none());
    let fault = (legs.iter()).find_map(|one| {
        let fault = one.leg.as_ref()?.fault.as_ref()?;
        Some(format!("the leg in target `{}`: {fault}", one.target))
    });
    let instance = legs.first().and_then(|leg| leg.instance.clone());
    let is_foreign = legs.first().is_some_and(|leg| leg.is_foreign);
    let found: Vec<String> = legs.iter().map(|leg| leg.target.clone()).collect();
    let legs: Vec<Summary> = legs.into_iter().filter(is_in_place).collect();
    let held: BTreeSet<&str> = legs.iter().map(|leg| leg.target.as_str()).collect();
    let absent: Vec<&String> = (run.targets.iter())
        .filter(|name| !held.contains(name.as_str()))
        .collect();
    let missing: Vec<String> = (absent.iter())
        .filter(|name| !unknown(name, &id))
        .map(|name| (*name).clone())
        .collect();
    let is_partial = !absent.is_empty();
    let defaults =
        (legs.iter()).filter_map(|one| Some((one.leg.as_ref()?.is_default, !one.is_whole())));
    let wrong_default = Run::check_default(defaults).err();
    // The default leg may be one of those that are absent.
    let wrong_default = wrong_default.filter(|_| absent.is_empty());
    if wrong_default.is_none()
        && missing.is_empty()
        && let Some(summary) = joined(run, legs, is_partial)
    {
        return Ok(summary);
    }
    let why = (wrong_default.map(str::to_owned))
        .or(fault)
        .unwrap_or_else(|| format!("no leg in target {}", missing.join(", ")));
    Err(IncompleteRun {
        detail: format!(
            "{why}; the backup can't be restored: bring the leg back, or delete the rest (`arc-backup delete {id}`)"
        ),
        backup_id: id,
        instance,
        is_foreign,
        targets: found,
        missing_targets: missing,
    })
}

/// The legs as one backup; `None` where there are none.
fn joined(run: &Run, mut legs: Vec<Summary>, is_partial: bool) -> Option<Summary> {
    let is_default = |one: &Summary| one.leg.as_ref().is_some_and(|leg| leg.is_default);
    if let Some(at) = legs.iter().position(is_default) {
        legs.swap(0, at);
    }
    let is_of_all = legs
        .first()
        .is_some_and(|one| is_default(one) && one.is_whole());
    let mut all = legs.into_iter();
    let mut one = all.next()?;
    for leg in all {
        one.total_files += leg.total_files;
        one.total_size_bytes = one.total_size_bytes.saturating_add(leg.total_size_bytes);
        one.database_count += leg.database_count;
        one.files = one.files.zip(leg.files).map(|(a, b)| a + b);
        one.bytes = (one.bytes.zip(leg.bytes)).map(|(a, b)| a.saturating_add(b));
        one.total_rows = match (one.total_rows, leg.total_rows) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        one.files_without_rows = one
            .files_without_rows
            .saturating_add(leg.files_without_rows);
        one.damaged_files = one.damaged_files.saturating_add(leg.damaged_files);
        one.new_bytes = one.new_bytes.saturating_add(leg.new_bytes);
        // A pin that reached one leg only keeps the others too.
        one.pin = one.pin.or(leg.pin);
        one.has_checksums &= leg.has_checksums;
        one.scope.extend(leg.scope);
        one.note_unreadable |= leg.note_unreadable;
        one.state = worse(one.state, leg.state);
        one.last_failed = one.last_failed.or(leg.last_failed);
        one.last_verified = older(one.last_verified, leg.last_verified);
        one.last_full = older(one.last_full, leg.last_full);
        one.last_rehearsed = older(one.last_rehearsed, leg.last_rehearsed);
    }
    // What the default leg says decides: the slice of another leg is not a scope.
    one.scope = match is_of_all {
        true => Vec::new(),
        false => (one.scope.into_iter().collect::<BTreeSet<_>>())
            .into_iter()
            .collect(),
    };
    one.targets = run.targets.iter().cloned().collect();
    one.partial_view = is_partial;
    Some(one)
}

fn worse(a: BackupState, b: BackupState) -> BackupState {
    let rank = |state: BackupState| match state {
        BackupState::Ok => 0,
        BackupState::Unverified => 1,
        _ => 2,
    };
    if rank(a) >= rank(b) { a } else { b }
}

fn older(a: Option<LastVerified>, b: Option<LastVerified>) -> Option<LastVerified> {
    let moment = |one: &LastVerified| one.at.parse::<jiff::Timestamp>().ok();
    match (a, b) {
        (Some(a), Some(b)) if moment(&a) <= moment(&b) => Some(a),
        (Some(_), Some(b)) => Some(b),
        _ => None,
    }
}

/// Removes from the lists of all targets the legs of runs that are not whole, and gives each other
/// leg the state of its run. `listings` has those of all targets.
pub(crate) fn keep_whole_runs<E>(listings: &mut [(String, Result<Listing, E>)]) {
    let legs = (listings.iter())
        .filter_map(|(_, listing)| listing.as_ref().ok())
        .flat_map(|listing| listing.backups.iter())
        .filter(|one| one.leg.is_some());
    let grouped = group(legs.cloned().collect::<Vec<_>>(), |_, _| true);
    for (_, listing) in listings.iter_mut() {
        let Ok(listing) = listing else { continue };
        listing.backups.retain_mut(|one| {
            let Some(leg) = &one.leg else { return true };
            let whole = grouped.backups.iter().find(|run| {
                run.backup_id == one.backup_id
                    && !run.partial_view
                    && run.leg.as_ref().is_some_and(|of_run| of_run.run == leg.run)
            });
            let is_leg_of_it = leg.fault.is_none();
            whole.filter(|_| is_leg_of_it).is_some_and(|run| {
                one.state = run.state;
                one.scope.clone_from(&run.scope);
                one.last_verified.clone_from(&run.last_verified);
                one.last_full.clone_from(&run.last_full);
                one.last_rehearsed.clone_from(&run.last_rehearsed);
                true
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::repository::Leg;

    const ID: &str = "backup-20260209-120000-0000000a";

    fn leg(target: &str, claims: &str, targets: &[&str]) -> Summary {
        let manifest = Manifest {
            target: Some(claims.to_owned()),
            run_targets: targets.iter().map(|&name| name.to_owned()).collect(),
            is_default_target: Some(claims == "a"),
            ..Manifest::default()
        };
        Summary {
            leg: Leg::of(target, &manifest),
            ..Summary::example(ID, target, BackupState::Ok)
        }
    }

    fn grouped(legs: Vec<Summary>, unknown: &[&str]) -> (Vec<Summary>, Vec<IncompleteRun>) {
        let grouped = group(legs, |target, _| unknown.contains(&target));
        (grouped.backups, grouped.incomplete)
    }

    /// Guards against: a leg that passes for a whole backup in a list.
    #[test]
    fn a_run_is_one_entry_or_incomplete() {
        let ab = ["a", "b"];
        let whole = vec![leg("b", "b", &ab), leg("a", "a", &ab)];
        let (backups, incomplete) = grouped(whole, &[]);
        assert_eq!((backups.len(), incomplete.len()), (1, 0));
        let one = &backups[0];
        assert_eq!((&*one.target, one.total_files), ("a", 2));
        assert!(one.targets == ["a", "b"] && !one.partial_view);

        let (backups, _) = grouped(vec![leg("b", "b", &ab)], &["a"]);
        assert!(backups[0].partial_view && backups[0].targets == ["a", "b"]);

        let (backups, incomplete) = grouped(vec![leg("b", "b", &ab)], &[]);
        assert_eq!(backups, []);
        assert_eq!(incomplete[0].missing_targets, ["a"]);

        // The same id, and other targets: two runs, and none of them is whole.
        let other = vec![leg("a", "a", &ab), leg("b", "b", &["b", "c"])];
        let (backups, incomplete) = grouped(other, &[]);
        assert_eq!((backups.len(), incomplete.len()), (0, 2));

        // One that every restore refuses.
        let other = ["b", "c"];
        let (backups, incomplete) =
            grouped(vec![leg("b", "b", &other), leg("c", "c", &other)], &[]);
        assert_eq!(backups, []);
        assert!(incomplete[0].detail.contains("default target"));

        // A copy of the leg of another target.
        let copied = vec![leg("a", "a", &ab), leg("b", "a", &ab)];
        let (backups, incomplete) = grouped(copied, &[]);
        assert_eq!(backups, []);
        assert!(incomplete[0].detail.contains("of target `a`"));
    }

    /// Guards against: a check that counts a run which can't be restored.
    #[test]
    fn only_whole_runs_count() {
        let listing = |backups| Listing {
            backups,
            ..Listing::default()
        };
        let ab = ["a", "b"];
        let mut damaged = leg("b", "b", &ab);
        damaged.state = BackupState::Damaged;
        let mut both = vec![
            ("a".to_owned(), Ok(listing(vec![leg("a", "a", &ab)]))),
            ("b".to_owned(), Ok(listing(vec![damaged]))),
        ];
        keep_whole_runs::<()>(&mut both);
        for (_, listing) in &both {
            assert_eq!(
                listing.as_ref().expect("listed").backups[0].state,
                BackupState::Damaged
            );
        }
        let mut dead = vec![
            ("a".to_owned(), Ok(listing(vec![leg("a", "a", &ab)]))),
            ("b".to_owned(), Err(())),
        ];
        keep_whole_runs(&mut dead);
        assert_eq!(dead[0].1.as_ref().expect("listed").backups, []);
    }
}
