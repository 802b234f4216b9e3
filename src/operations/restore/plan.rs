//! How many files and bytes a restore would change, by the plans of the sources themselves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{Activity, InvalidOperationId, OperationId, RestoreSummary, Staging};
use futures::StreamExt;
use poem_openapi::Object;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::manifest::{BackupId, Inventory, InventoryFault};
use crate::operations::entries::section_entries;
use crate::operations::restore::staging::policy;
use crate::operations::{ArcBackup, ExtraFilesPolicy, RestoreOptions};
use crate::repository::{Loaded, Repository, own};
use crate::source;
use crate::{Error, Result};

/// What a restore changes, by its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object, Serialize, Deserialize)]
#[serde(default)]
pub struct RestorePlan {
    /// Files that are live already, the same as in the backup, and stay.
    pub unchanged_files: u64,
    /// Files that are written.
    pub written_files: u64,
    /// How many of these replace a live file, which is kept aside.
    pub replaced_files: u64,
    /// Live files that the backup does not hold.
    pub extra_files: u64,
    /// What becomes of those.
    pub extra_files_policy: ExtraFilesPolicy,
    /// Bytes that are written.
    pub bytes_to_write: u64,
}

impl RestorePlan {
    pub(crate) fn new(extra_files_policy: ExtraFilesPolicy) -> Self {
        Self {
            extra_files_policy,
            ..Self::default()
        }
    }

    /// Adds the plan of one source.
    pub(crate) fn add(&mut self, summary: &RestoreSummary) {
        self.unchanged_files += summary.unchanged_files;
        self.written_files += summary.needed_files;
        self.replaced_files += summary.replaced_files;
        self.extra_files += summary.extra_files;
        self.bytes_to_write = self.bytes_to_write.saturating_add(summary.needed_bytes);
    }
}

impl ArcBackup {
    /// The plan of a restore; `None` where it takes longer than `limit`.
    pub(crate) async fn restore_figures(
        &self,
        repository: &Repository,
        loaded: &Loaded,
        id: &BackupId,
        options: &RestoreOptions,
        limit: Duration,
    ) -> Result<Option<RestorePlan>> {
        let cancel = CancellationToken::new();
        // Threads that hash live files end when nobody waits for them.
        let _ended = cancel.clone().drop_guard();
        let plan = self.plan_only(repository, loaded, id, options, cancel);
        match tokio::time::timeout(limit, plan).await {
            Ok(plan) => plan.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn plan_only(
        &self,
        repository: &Repository,
        loaded: &Loaded,
        id: &BackupId,
        options: &RestoreOptions,
        cancel: CancellationToken,
    ) -> Result<RestorePlan> {
        let scratch = self.scratch.for_reading()?;
        let inventory = match repository.inventory(id, loaded, scratch.path()).await {
            Ok(inventory) => inventory,
            Err(InventoryFault::Damaged(detail)) => {
                return Err(Error::Failed(format!("inventory.jsonl {detail}")));
            }
            Err(InventoryFault::Other(error)) => return Err(error),
        };
        let mut sections = BTreeSet::new();
        for record in inventory.records()? {
            sections.insert(record?.section().to_owned());
        }
        if options.data {
            sections.insert(source::DATA.to_owned());
        }
        let preview = format!("preview-{}", crate::random_hex::<8>()?);
        let preview = OperationId::parse(&preview).map_err(InvalidOperationId::into_error)?;
        let mut plan = RestorePlan::new(options.extra_files);
        for section in sections.iter().filter(|section| options.includes(section)) {
            if section == source::CONFIG {
                plan.add(&self.config_summary(&inventory).await?);
                continue;
            }
            let Some(source) = self.sources.iter().find(|one| one.section() == section) else {
                continue;
            };
            let staging = Staging {
                operation_id: preview.clone(),
                scratch: scratch.path().to_owned(),
                // Nothing is staged.
                stage: preview.clone(),
                resumes: false,
                cancel: cancel.clone(),
                activity: Activity::default(),
                extra_files: policy(options.extra_files),
                aside: Some((repository.target_sink().clone(), own("before-restore"))),
                earlier: Vec::new(),
                untouched: Arc::default(),
            };
            let restore = source.restore(staging).await?;
            plan.add(&restore.plan(section_entries(&inventory, section)?).await?);
        }
        Ok(plan)
    }

    /// That of `arc.toml`, whose own plan tries whether its place can be written.
    async fn config_summary(&self, inventory: &Inventory) -> Result<RestoreSummary> {
        let mut summary = RestoreSummary::default();
        let mut entries = section_entries(inventory, source::CONFIG)?;
        while let Some(entry) = entries.next().await {
            summary.needed_files += 1;
            summary.needed_bytes += entry?.size;
            summary.replaced_files += u64::from(self.settings.config_path.exists());
        }
        Ok(summary)
    }
}
