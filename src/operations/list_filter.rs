//! The filter for lists of backups, and their pages.

use jiff::Timestamp;

use crate::manifest::BackupId;
use crate::operations::ListAnswer;
use crate::repository::{BackupState, Summary};

/// Selects backups of a list. The default selects all of this instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Selects backups in this state.
    pub state: Option<BackupState>,
    /// Selects backups of instances whose name starts with this.
    pub instance: Option<String>,
    /// Selects backups of other instances too, by `owner_instance_id`.
    pub include_foreign: bool,
    /// Selects backups that began at this moment or later.
    pub since: Option<Timestamp>,
    /// Selects backups that began at this moment or earlier.
    pub until: Option<Timestamp>,
    /// Selects backups after this place: the `next` of the previous page.
    pub start_after: Option<ListPlace>,
    /// The maximum number of readable backups.
    pub limit: Option<u64>,
}

/// A place in a list, after a backup. Its text is the backup's id with its target,
/// `backup-…/offsite`, or the id alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPlace {
    id: BackupId,
    target: Option<String>,
}

impl ListPlace {
    /// Parses the text of a place; `None` if it is invalid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, target) = match text.split_once('/') {
            Some((id, target)) => (id, Some(target.to_owned())),
            None => (text, None),
        };
        let id = BackupId::parse(id).ok()?;
        Some(Self { id, target })
    }

    fn is_at(&self, backup: &Summary) -> bool {
        let is_target = (self.target.as_ref()).is_none_or(|target| *target == backup.target);
        backup.backup_id == self.id.as_str() && is_target
    }

    /// Returns the index where the page begins. If the backup was deleted since, the time in
    /// its id decides.
    fn index_after(&self, backups: &[Summary]) -> usize {
        match backups.iter().rposition(|backup| self.is_at(backup)) {
            Some(at) => at + 1,
            None => (backups.iter())
                .position(|backup| *backup.backup_id < *self.id.as_str())
                .unwrap_or(backups.len()),
        }
    }
}

impl ListAnswer {
    /// Returns the part that `filter` selects. Unreadable backups do not count towards the limit.
    #[must_use]
    pub fn filtered(mut self, filter: &ListFilter) -> Self {
        let within = |moment: Option<Timestamp>| {
            let is_late = filter.since.is_none_or(|since| moment >= Some(since));
            let is_early = filter.until.is_none_or(|until| moment <= Some(until));
            is_late && is_early
        };
        let of_id = |id: &str| within(BackupId::parse(id).ok().and_then(|id| id.moment()));
        // An unreadable backup does not name its instance.
        let is_of = |instance: Option<&String>| match (&filter.instance, instance) {
            (Some(wanted), Some(instance)) => instance.starts_with(wanted),
            (wanted, _) => wanted.is_none(),
        };
        let is_in = |state| filter.state.is_none_or(|wanted| wanted == state);
        (self.backups).retain(|one| {
            is_in(one.state) && is_of(one.instance.as_ref()) && within(one.created_at.parse().ok())
        });
        self.incomplete_runs.retain(|one| {
            filter.state.is_none() && of_id(&one.backup_id) && is_of(one.instance.as_ref())
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
            .retain(|one| is_in(one.state) && of_id(&one.backup_id));
        self.unreadable
            .retain(|one| is_in(one.state.into()) && of_id(&one.backup_id));
        if let Some(copies) = &mut self.incomplete {
            copies.retain(|one| is_in(one.state) && within(one.created_at.parse().ok()));
        }
        if let Some(place) = &filter.start_after {
            self.backups.drain(..place.index_after(&self.backups));
        }
        let limit = (filter.limit).and_then(|limit| usize::try_from(limit).ok());
        if let Some(limit) = limit.filter(|limit| *limit < self.backups.len()) {
            self.backups.truncate(limit);
            self.next =
                (self.backups.last()).map(|last| format!("{}/{}", last.backup_id, last.target));
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
