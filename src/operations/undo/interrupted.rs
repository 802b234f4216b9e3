//! What an interrupted restore has brought, where that is absent: it was to come yet, or Arc's
//! compaction has merged it into another file since.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use arc_backup_core::{Key, ListOptions, Listed, OperationId, Sink};
use futures::TryStreamExt;
use tokio::sync::Mutex;

use crate::Result;
use crate::operations::RestoreInProgress;
use crate::operations::undo::changes::Merged;
use crate::operations::undo::record::Record;
use crate::operations::undo::stack::ToUndo;
use crate::source::{is_output, unit_of};
use crate::times::system_time;

/// How far the clock of a store may be behind.
const SKEW: Duration = Duration::from_secs(60);

/// A restore that has not ended.
pub(crate) struct Interrupted {
    /// The name that it has staged files under; without it, nothing shows what was staged.
    stage: Option<OperationId>,
    /// Since when it may have brought files.
    since: SystemTime,
    /// Files named as outputs of compaction that it brings itself.
    outputs: BTreeSet<String>,
    /// Which units compaction has written in since then.
    compacted: Mutex<BTreeMap<String, bool>>,
}

impl Interrupted {
    /// By its marker; `None` where there is none, and nothing was brought.
    pub(crate) fn of(
        found: &ToUndo,
        marker: Option<&RestoreInProgress>,
        changes: &[PathBuf],
    ) -> Result<Option<Self>> {
        let Some(marker) = marker else {
            return Ok(None);
        };
        let mut outputs = BTreeSet::new();
        for change in Merged::of(changes.iter().map(PathBuf::as_path))? {
            let change = change?;
            if change.after.is_some() && is_output(&change.key) {
                outputs.insert(change.key);
            }
        }
        let started = found.runs.first().and_then(Record::started);
        let started = started.map_or(SystemTime::UNIX_EPOCH, system_time);
        Ok(Some(Self {
            stage: (marker.stage.as_deref()).and_then(|stage| OperationId::parse(stage).ok()),
            since: started.checked_sub(SKEW).unwrap_or(started),
            outputs,
            compacted: Mutex::default(),
        }))
    }

    /// Whether it may have brought this absent file.
    pub(crate) async fn may_have_brought(&self, storage: &dyn Sink, key: &Key) -> Result<bool> {
        if let (Some(area), Some(stage)) = (storage.staging(), &self.stage)
            && area.open(key, stage).await?.is_some()
        {
            return Ok(false);
        }
        // Staged files may be gone: a restore that could not complete this one removes them.
        let unit = unit_of(key);
        let mut compacted = self.compacted.lock().await;
        if let Some(known) = compacted.get(unit) {
            return Ok(*known);
        }
        let found = self.is_compacted(storage, unit).await?;
        compacted.insert(unit.to_owned(), found);
        Ok(found)
    }

    async fn is_compacted(&self, storage: &dyn Sink, unit: &str) -> Result<bool> {
        let mut listing = storage.list(ListOptions {
            prefix: format!("{unit}/"),
            ..ListOptions::default()
        });
        let is_output_there = |key: &str| is_output(key) && unit_of(key) == unit;
        while let Some(item) = listing.try_next().await? {
            let Listed::Object(meta) = item else {
                continue;
            };
            let is_later = meta.modified.is_none_or(|modified| modified >= self.since);
            if is_later && is_output_there(&meta.key) && !self.outputs.contains(meta.key.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
