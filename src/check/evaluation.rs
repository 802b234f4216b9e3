//! What the facts mean for the demands: a pure function.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::facts::{Facts, TargetFacts};
use super::options::CheckOptions;
use super::report::{CheckReport, CheckStatus, TargetCheck};
use crate::manifest::BackupId;
use crate::repository::{Listing, Summary};
use crate::times;

/// How far in the future a backup may be: clocks differ.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// The longest error that is quoted, in characters.
const ERROR_LIMIT: usize = 300;

/// Compares the facts with the demands.
pub(super) fn evaluate(options: &CheckOptions, facts: &Facts) -> CheckReport {
    let is_checked = |target: &&TargetFacts| {
        let is_empty = |listing: &Listing| {
            let Listing {
                backups,
                damaged,
                unreadable,
                ..
            } = listing;
            backups.is_empty() && damaged.is_empty() && unreadable.is_empty()
        };
        let holds_nothing = target.listing.as_ref().is_ok_and(is_empty);
        !(target.is_optional && holds_nothing && target.last.is_none())
    };
    let mut targets: Vec<_> = (facts.targets.iter().filter(is_checked))
        .map(|target| one(options, target, facts))
        .collect();
    let faults: Vec<_> = (facts.interrupted.iter().cloned())
        .chain(facts.schedules.iter().cloned())
        .chain((facts.unread.iter()).map(|error| format!("the history can't be read: {error}")))
        .map(|fault| on_one_line(&fault))
        .collect();
    targets.sort_by_key(|target| std::cmp::Reverse(target.status));
    let status = match targets.first() {
        Some(worst) if faults.is_empty() => worst.status,
        _ => CheckStatus::Critical,
    };
    let texts =
        (targets.iter()).map(|target| format!("target {}: {}", target.target, target.detail));
    let mut texts: Vec<_> = faults.iter().cloned().chain(texts).collect();
    if texts.is_empty() {
        texts.push("there is no target to check".to_owned());
    }
    CheckReport {
        status,
        ok: status == CheckStatus::Ok,
        line: format!("{}: {}", status.as_str(), texts.join("; ")),
        checked_at: facts.now.to_string(),
        faults,
        targets,
    }
}

/// A part of a target's line, and whether it is a fault.
struct Finding(String, bool);

fn one(options: &CheckOptions, target: &TargetFacts, facts: &Facts) -> TargetCheck {
    let now = facts.now;
    let mut check = TargetCheck {
        target: target.name.clone(),
        status: CheckStatus::Ok,
        ok: true,
        detail: String::new(),
        faults: Vec::new(),
        backups: 0,
        newest: None,
        newest_at: None,
        age_seconds: None,
        last_verified_at: None,
    };
    let mut findings = match &target.listing {
        Ok(listing) => of_listing(options, listing, facts, &mut check),
        Err(error) => vec![Finding(format!("can't be listed: {error}"), true)],
    };
    let newest: Option<Timestamp> = (check.newest_at.as_deref()).and_then(|at| at.parse().ok());
    if let Some(last) = &target.last
        && let Some(error) = &last.error
        && newest.is_none_or(|newest| last.started_at > newest)
    {
        let error: String = error.chars().take(ERROR_LIMIT).collect();
        let when = short_age(last.started_at, now);
        findings.push(Finding(
            format!("the last backup failed {when} ago: {error}"),
            true,
        ));
    }
    // Faults first.
    findings.sort_by_key(|Finding(_, is_fault)| !is_fault);
    let texts = findings.iter().map(|Finding(text, _)| on_one_line(text));
    check.detail = texts.collect::<Vec<_>>().join(", ");
    check.faults = (findings.iter().filter(|Finding(_, is_fault)| *is_fault))
        .map(|Finding(text, _)| on_one_line(text))
        .collect();
    if !check.faults.is_empty() {
        (check.status, check.ok) = (CheckStatus::Critical, false);
    }
    check
}

fn of_listing(
    options: &CheckOptions,
    listing: &Listing,
    facts: &Facts,
    check: &mut TargetCheck,
) -> Vec<Finding> {
    let now = facts.now;
    let mut findings = Vec::new();
    let is_own = |backup: &&Summary| match (&backup.instance, &facts.own) {
        (Some(instance), Some(own)) => instance == own,
        // Backups made by Arc do not name their instance.
        _ => true,
    };
    let backups: Vec<_> = (listing.backups.iter())
        .filter(|backup| is_own(backup) && !facts.owner.is_foreign(backup))
        .collect();
    let scoped = (backups.iter())
        .filter(|backup| backup.state.is_good() && !backup.is_whole())
        .count();
    let lacks_metadata = |backup: &Summary| facts.needs_metadata && backup.omitted.metadata;
    let is_good = |backup: &&Summary| backup.state.is_good() && backup.is_whole();
    let (unread, read): (Vec<_>, Vec<_>) = (backups.iter().copied())
        .filter(is_good)
        .partition(|backup| backup.note_unreadable);
    let without_metadata = read.iter().filter(|backup| lacks_metadata(backup)).count();
    let good: Vec<_> = (read.into_iter())
        .filter(|backup| !lacks_metadata(backup))
        .map(|backup| (moment(backup), backup))
        .collect();
    let latest = now + CLOCK_TOLERANCE;
    let newest = (good
        .iter()
        .filter(|(at, _)| at.is_some_and(|at| at <= latest)))
    .max_by_key(|(at, backup)| (*at, &backup.backup_id));
    check.backups = good.len() as u64;
    let newest_at = newest.and_then(|(at, _)| *at);
    match (newest, newest_at) {
        (Some((_, backup)), Some(at)) => {
            let age = times::age(at, now).unwrap_or_default();
            check.newest = Some(backup.backup_id.clone());
            check.newest_at = Some(at.to_string());
            check.age_seconds = Some(age.as_secs());
            let text = format!(
                "newest backup {} {} old (limit {})",
                backup.backup_id,
                times::long(age),
                times::setting(options.max_age)
            );
            findings.push(Finding(text, age > options.max_age));
        }
        _ if scoped > 0 => {
            findings.push(Finding("no good backup of all databases".to_owned(), true));
        }
        _ => findings.push(Finding("no good backup".to_owned(), true)),
    }
    if scoped > 0 {
        let text = match scoped {
            1 => "1 backup of some databases does not count".to_owned(),
            _ => format!("{scoped} backups of some databases do not count"),
        };
        findings.push(Finding(text, false));
    }
    match without_metadata {
        0 => {}
        1 => findings.push(Finding(
            "1 backup without the SQLite databases does not count".to_owned(),
            false,
        )),
        count => findings.push(Finding(
            format!("{count} backups without the SQLite databases do not count"),
            false,
        )),
    }
    let damaged_scoped = (backups.iter())
        .filter(|backup| !backup.state.is_good() && !backup.is_whole())
        .count();
    match damaged_scoped {
        0 => {}
        1 => findings.push(Finding(
            "1 backup of some databases is damaged".to_owned(),
            false,
        )),
        count => findings.push(Finding(
            format!("{count} backups of some databases are damaged"),
            false,
        )),
    }
    let damaged = (backups.iter())
        .filter(|backup| !backup.state.is_good() && backup.is_whole())
        .map(|backup| (moment(backup), &backup.backup_id, "is damaged"));
    let broken = (listing.damaged.iter())
        .map(|one| (moment_of_id(&one.backup_id), &one.backup_id, "is damaged"));
    let unreadable = listing.unreadable.iter().map(|one| {
        let what = match one.state {
            crate::repository::UnreadableState::Archived => "is archived",
            crate::repository::UnreadableState::Denied => "may not be read",
        };
        (moment_of_id(&one.backup_id), &one.backup_id, what)
    });
    let unread = (unread.into_iter()).map(|backup| {
        (
            moment(backup),
            &backup.backup_id,
            "has a note that can't be read",
        )
    });
    let newest_bad = (damaged.chain(broken).chain(unreadable).chain(unread))
        .filter(|(at, ..)| *at > newest_at)
        .max_by_key(|(at, id, _)| (*at, *id));
    if let Some((_, id, what)) = newest_bad {
        findings.push(Finding(format!("the newer backup {id} {what}"), true));
    }
    let future = (good.iter()).filter(|(at, _)| at.is_none_or(|at| at > latest));
    for (_, backup) in future.take(1) {
        let text = format!(
            "backup {} is dated in the future ({}): check the clocks",
            backup.backup_id, backup.created_at
        );
        findings.push(Finding(text, true));
    }
    // That there is none is reported above.
    if (1..options.min_backups).contains(&check.backups) {
        let text = format!(
            "{} good backups of at least {}",
            check.backups, options.min_backups
        );
        findings.push(Finding(text, true));
    }
    findings.push(verified(options, &good, now, check));
    findings
}

/// When a full or sample verification last found nothing wrong.
fn verified(
    options: &CheckOptions,
    good: &[(Option<Timestamp>, &Summary)],
    now: Timestamp,
    check: &mut TargetCheck,
) -> Finding {
    let clean = good.iter().flat_map(|(_, backup)| {
        let noted = [&backup.last_verified, &backup.last_full];
        noted
            .into_iter()
            .flatten()
            .filter(|done| done.ok && done.mode != "quick")
    });
    let last: Option<Timestamp> = clean.filter_map(|done| done.at.parse().ok()).max();
    check.last_verified_at = last.map(|at| at.to_string());
    let text = match last {
        Some(at) => format!("verified {} ago", short_age(at, now)),
        None => "never verified".to_owned(),
    };
    let Some(limit) = options.verified_within else {
        return Finding(text, false);
    };
    let is_late = last.is_none_or(|at| times::age(at, now).unwrap_or_default() > limit);
    Finding(format!("{text} (limit {})", times::setting(limit)), is_late)
}

fn short_age(moment: Timestamp, now: Timestamp) -> String {
    times::short(times::age(moment, now).unwrap_or(Duration::ZERO))
}

fn moment(backup: &Summary) -> Option<Timestamp> {
    (backup.created_at.parse().ok()).or_else(|| moment_of_id(&backup.backup_id))
}

fn moment_of_id(id: &str) -> Option<Timestamp> {
    BackupId::parse(id).ok()?.moment()
}

/// Errors may have several lines, and characters that a terminal obeys.
fn on_one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
