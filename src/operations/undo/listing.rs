//! What restores have set aside, by the operation that did it.

use std::time::Duration;

use jiff::Timestamp;

use crate::operations::undo::record::{self, Record};
use crate::operations::undo::stack;
use crate::operations::{ArcBackup, OperationKind, SetAside, Status};
use crate::times;
use crate::{Error, Result};

/// What one restore, or undo, has set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetAsideFiles {
    /// The operation; `None` of files that an earlier version of this program kept without it.
    pub operation_id: Option<String>,
    /// `restore` or `undo`; `None` where that is unknown.
    pub operation: Option<OperationKind>,
    /// The backup that it restored, or whose restore it took back.
    pub backup_id: Option<String>,
    /// The number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// When they were set aside, if that is known.
    pub since: Option<Timestamp>,
    /// From when on a backup removes them; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Whether it can be taken back now.
    pub can_be_undone: bool,
    /// Whether the operation has ended: only then do its files expire.
    pub(crate) is_finished: bool,
    /// Where they are.
    pub places: Vec<SetAside>,
}

impl SetAsideFiles {
    fn add(&mut self, place: SetAside) {
        self.files += place.files;
        self.bytes += place.bytes;
        self.since = match (self.since, place.since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.places.push(place);
    }
}

impl ArcBackup {
    /// Lists what restores have set aside, the oldest first, and returns the failures to do so. A
    /// restore that has set nothing aside, and can be taken back all the same, is listed too.
    ///
    /// # Errors
    /// Where the records of restores can't be read.
    pub async fn list_set_aside(&self) -> Result<(Vec<SetAsideFiles>, Vec<Error>)> {
        let (found, faults) = self.set_aside().await;
        let records = record::all(&self.settings)?;
        let marker = self.restore_in_progress().await;
        let mut all: Vec<SetAsideFiles> = Vec::new();
        for record in records.iter().filter(|record| !record.is_removed) {
            all.push(SetAsideFiles {
                operation_id: Some(record.operation_id.clone()),
                operation: Some(record.kind),
                backup_id: Some(record.backup_id.clone()),
                since: record.started(),
                can_be_undone: stack::can_be_undone(&records, record, marker.as_ref()),
                is_finished: record.is_finished || completed_by(&records, record).is_some(),
                ..SetAsideFiles::default()
            });
        }
        for place in found {
            let id = place.operation_id.clone();
            let known = (all.iter_mut()).find(|one| id.is_some() && one.operation_id == id);
            match known {
                Some(known) => known.add(place),
                None => {
                    let mut new = self.unrecorded(id).await;
                    new.add(place);
                    all.push(new);
                }
            }
        }
        let keep = self.settings.backup.keep_set_aside;
        for one in &mut all {
            one.expires_at = expires_at(one, keep);
        }
        // What an interrupted run set aside is of use as long as that of the one that completed it.
        for record in &records {
            let expiry_of = |record: &Record| {
                let found = all.iter().find(|one| is_of(one, record));
                found.map(|one| one.expires_at)
            };
            let last = completed_by(&records, record).and_then(expiry_of);
            let own = all.iter_mut().find(|one| is_of(one, record));
            if let (Some(expiry), Some(own)) = (last, own) {
                own.expires_at = expiry;
            }
        }
        // The places know whole seconds only.
        let began = |one: &SetAsideFiles| {
            let record = records.iter().find(|record| is_of(one, record));
            record.and_then(Record::started).or(one.since)
        };
        all.sort_by_cached_key(|one| (began(one), one.operation_id.clone()));
        Ok((all, faults))
    }

    /// What the history knows of an operation without a record.
    async fn unrecorded(&self, operation_id: Option<String>) -> SetAsideFiles {
        let known = match &operation_id {
            Some(id) => self.history.get(id.clone()).await.ok().flatten(),
            None => None,
        };
        SetAsideFiles {
            operation: known.as_ref().map(|known| known.operation),
            backup_id: known.as_ref().map(|known| known.backup_id.clone()),
            is_finished: known.is_some_and(|known| known.status == Status::Completed),
            operation_id,
            ..SetAsideFiles::default()
        }
    }
}

fn is_of(one: &SetAsideFiles, record: &Record) -> bool {
    one.operation_id.as_deref() == Some(&*record.operation_id)
}

/// The operation that completed this interrupted one.
fn completed_by<'a>(all: &'a [Record], record: &Record) -> Option<&'a Record> {
    (all.iter()).rfind(|other| other.is_finished && other.earlier.contains(&record.operation_id))
}

fn expires_at(one: &SetAsideFiles, keep: Option<Duration>) -> Option<Timestamp> {
    if !one.is_finished || one.operation_id.is_none() {
        return None;
    }
    one.since?.checked_add(keep?).ok()
}

/// How old it is, for people.
pub(crate) fn age(one: &SetAsideFiles, now: Timestamp) -> Option<Duration> {
    times::age(one.since?, now)
}
