//! Removing what a restore has set aside: afterwards it can't be taken back.

use arc_backup_core::{Activity, InvalidOperationId, OperationId};
use jiff::Timestamp;

use crate::operations::undo::finish::remove_area;
use crate::operations::undo::kept::remove_kept;
use crate::operations::undo::listing::SetAsideFiles;
use crate::operations::undo::record;
use crate::operations::{ArcBackup, OperationKind};
use crate::repository::{Holder, own};
use crate::source::{Aside, COLD_ASIDE};
use crate::{Error, Result};

impl ArcBackup {
    /// Removes what an operation has set aside, and returns what that was.
    ///
    /// # Errors
    /// [`Error::UnknownOperation`] where it has set nothing aside; [`Error::Invalid`] where it was
    /// interrupted and has to be completed first; [`Error::Busy`] if an operation runs.
    pub async fn remove_set_aside(&self, operation_id: &str) -> Result<SetAsideFiles> {
        self.check_place()?;
        let _starting = self.slots.starting.lock().await;
        if let Some(holder) = self.busy() {
            return Err(holder.into());
        }
        let now = Timestamp::now().strftime("%Y%m%d-%H%M%S");
        let own_id = format!("{now}-{}", crate::random::random_hex::<4>()?);
        let kind = OperationKind::Sweep;
        let _slot = self
            .slots
            .take(kind, &Holder::this(kind.as_str(), &own_id))?;
        let (all, faults) = self.list_set_aside().await?;
        let is_it = |one: &&SetAsideFiles| one.operation_id.as_deref() == Some(operation_id);
        let Some(found) = all.iter().find(is_it) else {
            return Err(match faults.into_iter().next() {
                Some(fault) => fault,
                None => Error::UnknownOperation(operation_id.to_owned()),
            });
        };
        self.remove_kept_of(operation_id, &Activity::default())
            .await?;
        Ok(found.clone())
    }

    /// Removes it, where the operation is not one that has to be completed.
    pub(crate) async fn remove_kept_of(
        &self,
        operation_id: &str,
        activity: &Activity,
    ) -> Result<()> {
        if let Some(marker) = self.restore_in_progress().await {
            let mut runs = marker.earlier.iter().map(|run| &run.operation_id);
            if marker.operation_id == operation_id
                || marker.undoes.as_deref() == Some(operation_id)
                || marker.unreadable.is_some()
                || runs.any(|id| id == operation_id)
            {
                return Err(Error::Invalid(format!(
                    "what operation {operation_id} has set aside is still needed: {marker}: {}",
                    marker.remedy()
                )));
            }
        }
        let id = OperationId::parse(operation_id).map_err(InvalidOperationId::into_error)?;
        // From now on it can't be taken back, whatever is left of it.
        record::mark_removed(&self.settings, operation_id)?;
        let storages = (self.sources.iter().filter_map(|source| source.files()))
            .chain([self.storage.clone()])
            .chain(self.cold.clone());
        for storage in storages {
            if storage.aside().is_some() {
                let target = self.repositories[0].target_sink();
                remove_area(&storage, target, &id, activity).await?;
                continue;
            }
            for repository in &self.repositories {
                let target = repository.target_sink();
                remove_area(&storage, target, &id, activity).await?;
                let place = Some((target.clone(), own("before-restore")));
                let aside = Aside::new(storage.clone(), &id, place, activity);
                aside.in_folder_beside(COLD_ASIDE).remove().await?;
            }
        }
        remove_kept(&self.settings, operation_id)?;
        record::forget_removed(&self.settings)
    }
}
