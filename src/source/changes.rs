//! What a restore of the data is about to change, by its plan.

use arc_backup_core::{Change, ChangeStream, Error, ExtraFiles, Result, Section, Tier, Version};
use futures::{StreamExt, stream};

use super::parquet_restore::ParquetRestore;
use super::steps::{Action, Step};

impl ParquetRestore {
    /// The changes, in byte order of their keys. What may change in the cold tier, or in the rows
    /// that say what is there, is named without its versions.
    pub(super) fn planned_changes(&self) -> ChangeStream<'_> {
        match self.steps.read() {
            Ok(steps) => {
                stream::iter(steps.filter_map(|step| self.change(step).transpose())).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    fn change(&self, step: Result<Step>) -> Result<Option<Change>> {
        let step = step?;
        let keeps_extra = self.staging.extra_files == ExtraFiles::Keep;
        let is_change = match step.action {
            Action::Need | Action::Second | Action::Row => true,
            Action::Extra => !keeps_extra,
            Action::Same | Action::Found | Action::Staged | Action::Archived => false,
        };
        // A restored database has its rows with it.
        let changes_row = step.row.is_some() && !self.staging.scope.includes(&Section::Metadata);
        let is_of_cold = step.action == Action::Second || step.cold && is_change || changes_row;
        if is_of_cold && step.action != Action::Staged {
            return Ok(Some(Change {
                key: step.key()?,
                tier: Tier::Cold,
                before: None,
                after: None,
            }));
        }
        if !is_change {
            return Ok(None);
        }
        let after = match step.action {
            Action::Need => Some(Version::from(&step.entry()?)),
            _ => None,
        };
        Ok::<_, Error>(Some(Change {
            key: step.key()?,
            tier: Tier::Hot,
            before: step.live.as_ref().map(Into::into),
            after,
        }))
    }
}
