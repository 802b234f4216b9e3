//! Planning a restore that is to be looked at, and perhaps done.

use std::time::Duration;

use crate::manifest::BackupId;
use crate::operations::restore::saved_plan;
use crate::operations::{ArcBackup, RestoreOptions, RestorePreview};
use crate::{Error, Result};

impl ArcBackup {
    /// Plans a restore and keeps the plan for 24 h. A restore with the same options and its id
    /// ([`RestoreOptions::plan_id`]) does what it says, or fails before anything changes. Nothing
    /// is changed.
    ///
    /// # Errors
    /// Fails as the restore would before it begins, and where the data cannot be listed.
    pub async fn plan_restore(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        target: Option<&str>,
    ) -> Result<RestorePreview> {
        let (repository, loaded, within) = self.find_and_check(id, options, target).await?;
        (self.check_selected(&repository, id, &loaded, within.backup_scope())).await?;
        let mut preview = (self.preview_restore(id, options, target, Duration::MAX)).await?;
        let Some(plan) = &mut preview.plan else {
            let why = preview.plan_error.as_deref().unwrap_or("it has no plan");
            return Err(Error::Failed(format!(
                "the restore of `{id}` cannot be planned: {why}"
            )));
        };
        if options.skip_damaged {
            let text = "damaged files are found only when the backup is read: they are counted as written, and this plan has no \
                        id that a restore could name";
            plan.warnings.push(text.to_owned());
            return Ok(preview);
        }
        let plan_id = saved_plan::keep(&self.settings, id, repository.name(), &within, plan)?;
        preview.plan_id = Some(plan_id);
        Ok(preview)
    }
}
