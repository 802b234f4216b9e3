//! The filter for lists of backups, and their pages.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::backup_type::BackupType;
use crate::manifest::BackupId;
use crate::operations::ListAnswer;
use crate::repository::{BackupState, Summary};

/// Selects backups of a list. The default selects all of this instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Selects backups in this state.
    pub state: Option<BackupState>,
    /// Selects backups that have all of these labels.
    pub labels: Vec<String>,
    /// Selects backups of this type.
    pub backup_type: Option<BackupType>,
    /// Selects backups that were made for this schedule.
    pub schedule: Option<String>,
    /// Selects backups that a pin keeps, or those that none does.
    pub locked: Option<bool>,
    /// Selects backups of instances whose name starts with this.
    pub instance: Option<String>,
    /// Selects backups of other instances too, by `owner_instance_id`.
    pub include_foreign: bool,
    /// Selects backups that began at this moment or later.
    pub since: Option<Timestamp>,
    /// Selects backups that began at this moment or earlier.
    pub until: Option<Timestamp>,
    /// Selects backups that began before this moment.
    pub before: Option<Timestamp>,
    /// Selects backups after this place: the `next` of the previous page.
    pub start_after: Option<ListPlace>,
    /// The maximum number of readable backups.
    pub limit: Option<u64>,
}

impl ListFilter {
    /// Whether it asks for something that only a readable manifest and note say.
    fn needs_manifest(&self) -> bool {
        !self.labels.is_empty()
            || self.backup_type.is_some()
            || self.schedule.is_some()
            || self.locked.is_some()
    }

    fn is_within(&self, moment: impl FnOnce() -> Option<Timestamp>) -> bool {
        if (self.since, self.until, self.before) == (None, None, None) {
            return true;
        }
        let moment = moment();
        self.since.is_none_or(|since| moment >= Some(since))
            && self.until.is_none_or(|until| moment <= Some(until))
            && self.before.is_none_or(|before| moment < Some(before))
    }

    fn selects(&self, one: &Summary, now: Timestamp) -> bool {
        let is_type = |wanted: BackupType| one.backup_type == wanted.as_str();
        self.state.is_none_or(|state| state == one.state)
            && self.labels.iter().all(|label| one.labels.contains(label))
            && self.backup_type.is_none_or(is_type)
            && (self.schedule.as_ref()).is_none_or(|name| one.schedule.as_ref() == Some(name))
            && self
                .locked
                .is_none_or(|locked| one.is_locked(now) == locked)
            && self.is_of(one.instance.as_ref())
            && self.is_within(|| one.created_at.parse().ok())
    }

    /// Whether it is of the wanted instance. An unreadable backup does not name its own.
    fn is_of(&self, instance: Option<&String>) -> bool {
        match (&self.instance, instance) {
            (Some(wanted), Some(instance)) => instance.starts_with(wanted),
            (wanted, _) => wanted.is_none(),
        }
    }
}

/// A place in a list, after a backup. Its text is the backup's id with its target and the moment
/// when it began, `backup-…/offsite/2026-02-11T14:30:22.104Z`, so that it stays the same place when
/// the backup is deleted. The id alone, or with the target, is a place too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlace {
    id: BackupId,
    target: Option<String>,
    moment: Option<Timestamp>,
}

impl ListPlace {
    /// Parses the text of a place; `None` if it is invalid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, rest) = match text.split_once('/') {
            Some((id, rest)) => (id, Some(rest)),
            None => (text, None),
        };
        // A target's name may hold a slash.
        let timed = rest.and_then(|rest| {
            let (target, moment) = rest.rsplit_once('/')?;
            Some((target, moment.parse().ok()?))
        });
        let (target, moment) = match timed {
            Some((target, moment)) => (Some(target), Some(moment)),
            None => (rest, None),
        };
        Some(Self {
            id: BackupId::parse(id).ok()?,
            target: target.map(str::to_owned),
            moment,
        })
    }

    /// The text of the place after this backup.
    fn after(backup: &Summary) -> String {
        let place = format!("{}/{}", backup.backup_id, backup.target);
        match backup.created_at.parse::<Timestamp>() {
            Ok(moment) => format!("{place}/{moment}"),
            Err(_) => place,
        }
    }

    fn is_at(&self, backup: &Summary) -> bool {
        let is_target = (self.target.as_ref()).is_none_or(|target| *target == backup.target);
        backup.backup_id == self.id.as_str() && is_target
    }

    /// Returns the index where the page begins, among backups newest first.
    fn index_after(&self, backups: &[Summary]) -> usize {
        if self.moment.is_none()
            && let Some(at) = backups.iter().rposition(|backup| self.is_at(backup))
        {
            return at + 1;
        }
        // If the backup was deleted since, the moment decides: that in the id if no other is known.
        let moment = self.moment.or_else(|| self.id.moment());
        let target = self.target.as_deref();
        let is_after = |one: &Summary| {
            let began = one.created_at.parse::<Timestamp>().ok();
            let place = (moment, self.id.as_str());
            match (began, one.backup_id.as_str()).cmp(&place) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Greater => false,
                std::cmp::Ordering::Equal => {
                    target.is_some_and(|target| Reverse(&*one.target) < Reverse(target))
                }
            }
        };
        backups.partition_point(|one| !is_after(one))
    }
}

impl ListAnswer {
    /// Returns the part that `filter` selects. Unreadable backups do not count towards the limit.
    #[must_use]
    pub fn filtered(mut self, filter: &ListFilter) -> Self {
        let now = Timestamp::now();
        let of_id =
            |id: &str| filter.is_within(|| BackupId::parse(id).ok().and_then(|id| id.moment()));
        let is_in = |state| filter.state.is_none_or(|wanted| wanted == state);
        (self.backups).retain(|one| filter.selects(one, now));
        let is_readable = filter.needs_manifest();
        self.incomplete_runs.retain(|one| {
            let is_of = filter.is_of(one.instance.as_ref());
            !is_readable && filter.state.is_none() && of_id(&one.backup_id) && is_of
        });
        if !filter.include_foreign {
            let all = self.backups.len();
            self.backups.retain(|one| !one.is_foreign);
            self.foreign_backups = (all - self.backups.len()) as u64;
            let runs = self.incomplete_runs.len();
            self.incomplete_runs.retain(|one| !one.is_foreign);
            self.foreign_backups += (runs - self.incomplete_runs.len()) as u64;
        }
        self.damaged
            .retain(|one| !is_readable && is_in(one.state) && of_id(&one.backup_id));
        self.unreadable
            .retain(|one| !is_readable && is_in(one.state.into()) && of_id(&one.backup_id));
        if let Some(copies) = &mut self.incomplete {
            copies.retain(|one| {
                let is_within = filter.is_within(|| one.created_at.parse().ok());
                !is_readable && is_in(one.state) && is_within
            });
        }
        if let Some(place) = &filter.start_after {
            self.backups.drain(..place.index_after(&self.backups));
        }
        let limit = (filter.limit).and_then(|limit| usize::try_from(limit).ok());
        if let Some(limit) = limit.filter(|limit| *limit < self.backups.len()) {
            self.backups.truncate(limit);
            self.next = self.backups.last().map(ListPlace::after);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Damaged;

    fn answer() -> ListAnswer {
        let backup = |day: u32, target: &str, state| Summary {
            created_at: format!("2026-02-{day:02}T12:00:00Z"),
            ..Summary::example(
                &format!("backup-202602{day:02}-120000-0000000a"),
                target,
                state,
            )
        };
        ListAnswer {
            backups: vec![
                backup(9, "a", BackupState::Ok),
                backup(8, "a", BackupState::Damaged),
                backup(8, "b", BackupState::Unverified),
                backup(7, "a", BackupState::Ok),
                backup(6, "a", BackupState::Ok),
            ],
            damaged: vec![Damaged {
                backup_id: "backup-20260205-120000-0000000a".to_owned(),
                target: "a".to_owned(),
                state: BackupState::Damaged,
                detail: String::new(),
            }],
            ..ListAnswer::default()
        }
    }

    fn days(answer: &ListAnswer) -> Vec<String> {
        (answer.backups.iter())
            .map(|one| format!("{}{}", &one.backup_id[14..15], one.target))
            .collect()
    }

    /// Guards against a backup that is on no page, or on two.
    #[test]
    fn pages_join_also_where_a_backup_has_gone() {
        let mut filter = ListFilter {
            limit: Some(2),
            ..ListFilter::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = answer().filtered(&filter);
            seen.extend(days(&page));
            let Some(next) = page.next else { break };
            filter.start_after = Some(ListPlace::parse(&next).expect("a place"));
        }
        assert_eq!(seen, ["9a", "8a", "8b", "7a", "6a"]);
        let mut fewer = answer();
        fewer.backups.drain(1..3);
        filter.start_after = ListPlace::parse("backup-20260208-120000-0000000a/a");
        assert_eq!(days(&fewer.filtered(&filter)), ["7a", "6a"]);
        for text in ["", "/", "backup", "backup-20260208-120000-0000000A/a"] {
            assert_eq!(ListPlace::parse(text), None, "{text}");
        }
    }

    #[test]
    fn states_and_times_choose() {
        let of = |filter: ListFilter| {
            let answer = answer().filtered(&filter);
            (days(&answer), answer.damaged.len())
        };
        let state = |state| ListFilter {
            state: Some(state),
            ..ListFilter::default()
        };
        let texts = |some: &[&str]| some.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(of(state(BackupState::Ok)), (texts(&["9a", "7a", "6a"]), 0));
        assert_eq!(of(state(BackupState::Damaged)), (texts(&["8a"]), 1));
        let between = ListFilter {
            since: "2026-02-07T00:00:00Z".parse().ok(),
            until: "2026-02-08T12:00:00Z".parse().ok(),
            ..ListFilter::default()
        };
        assert_eq!(of(between), (texts(&["8a", "8b", "7a"]), 0));
    }
}
