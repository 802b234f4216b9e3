//! Journals: what is being done to a backup, so that what a crash left can be told from everything else.

use std::collections::BTreeSet;

use arc_backup_core::{Child, Discard, Discarded};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Repository, own};
use crate::Result;
use crate::manifest::BackupId;

/// `.arc-backup/journal/{backup_id}.json`: there from before the first change to a backup until after the last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Journal {
    /// `backup` or `delete`.
    pub operation: String,
    /// The backup.
    pub backup_id: String,
    /// The operation.
    pub operation_id: String,
    /// The process.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// How many unfinished backups are continued at most; older ones are removed.
const CONTINUED: usize = 3;

/// What a sweep found, and removed if it was asked to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Unfinished backups and deletions, and what has lost its journal, by id.
    pub unfinished: Vec<String>,
    /// Leavings of uploads that never ended.
    pub temporaries: u64,
    /// What could not be removed, and why.
    pub faults: Vec<String>,
}

impl Repository {
    pub(crate) async fn begin_journal(&self, journal: &Journal) -> Result<()> {
        let text = serde_json::to_vec(journal).expect("plain data is valid JSON");
        self.put(&own(&format!("journal/{}.json", journal.backup_id)), text)
            .await
    }

    pub(crate) async fn end_journal(&self, id: &BackupId) -> Result<()> {
        self.sink()
            .remove_tree(&own(&format!("journal/{id}")), &self.activity)
            .await?;
        Ok(self
            .sink()
            .delete(&[own(&format!("journal/{id}.json"))])
            .await?)
    }

    /// The ids that journals name.
    pub(crate) async fn journalled(&self) -> Result<BTreeSet<BackupId>, arc_backup_core::Error> {
        let children = self.sink().list_children(Some(&own("journal"))).await?;
        Ok(children
            .iter()
            .filter(|child| matches!(child, Child::Object(_)))
            .filter_map(|child| BackupId::parse(child.name().strip_suffix(".json")?).ok())
            .collect())
    }

    /// The unfinished backups that can be continued, newest first: they have told what they stored. At most
    /// [`CONTINUED`] of them.
    pub(crate) async fn continuable(&self) -> Result<Vec<BackupId>> {
        let children = self.sink().list_children(Some(&own("journal"))).await?;
        let journalled = self.journalled().await?;
        let mut found: Vec<BackupId> = (children.iter())
            .filter(|child| matches!(child, Child::Folder(_)))
            .filter_map(|child| BackupId::parse(child.name()).ok())
            .filter(|id| journalled.contains(id))
            .collect();
        found.sort_by(|a, b| b.as_str().cmp(a.as_str()));
        let mut continuable = Vec::new();
        for id in found {
            if continuable.len() < CONTINUED && !self.is_published(&id).await? {
                continuable.push(id);
            }
        }
        Ok(continuable)
    }

    /// Finishes or removes what a journal names as unfinished, and nothing else. The caller holds the lock.
    ///
    /// A backup that was published stays, whatever its journal says: its manifest is written last. A deletion
    /// that had not begun (the manifest is still there) is forgotten; one that had is finished.
    ///
    /// What can't be removed is left to the next sweep, and named in [`Swept::faults`].
    ///
    /// # Errors
    /// When the journals can't be read.
    pub async fn sweep(&self, apply: bool) -> Result<Swept> {
        self.sweep_but(apply, &[]).await
    }

    /// The same, without touching the backups in `kept`.
    pub(crate) async fn sweep_but(&self, apply: bool, kept: &[BackupId]) -> Result<Swept> {
        let mut swept = Swept::default();
        for id in self.journalled().await? {
            if kept.contains(&id) {
                continue;
            }
            let published = match self.is_published(&id).await {
                Ok(published) => published,
                Err(error) => {
                    swept.faults.push(format!("{id}: {error}"));
                    continue;
                }
            };
            if !published {
                swept.unfinished.push(id.to_string());
            }
            if apply && let Err(error) = self.sweep_one(&id, published).await {
                tracing::warn!(backup = %id, %error, "what an interrupted operation left can't be removed");
                swept.faults.push(format!("{id}: {error}"));
            }
        }
        let folder = arc_backup_core::Key::parse(super::OWN_FOLDER).expect("a fixed name");
        if apply && let Err(error) = self.remove_probes(&folder).await {
            swept.faults.push(error.to_string());
        }
        let discard = if apply {
            Discard::Remove
        } else {
            Discard::Count
        };
        let mut discarded = Discarded::default();
        discarded.add(self.sink().discard_unfinished(Some(&folder), discard).await);
        swept.temporaries = discarded.count;
        let faults = discarded.faults.iter().map(ToString::to_string);
        swept.faults.extend(faults);
        Ok(swept)
    }

    /// Removes what a doctor left that was killed. One that runs this moment makes its own anew when it is asked again.
    async fn remove_probes(&self, folder: &arc_backup_core::Key) -> Result<()> {
        let probes: Vec<_> = (self.sink().list_children(Some(folder)).await?.into_iter())
            .filter(|child| child.name().starts_with("probe-"))
            .map(|child| own(child.name()))
            .collect();
        Ok(self.sink().delete(&probes).await?)
    }

    pub(crate) async fn sweep_one(&self, id: &BackupId, published: bool) -> Result<()> {
        if !published {
            tracing::info!(backup = %id, "removing what an interrupted operation left");
            self.remove_backup(id).await?;
        }
        self.end_journal(id).await
    }

    /// Whether the backup has a manifest, whatever is in it. A fault of the target is no answer: it must not cost a backup.
    async fn is_published(&self, id: &BackupId) -> Result<bool> {
        match self.sink().head(&super::manifest_key(id)).await {
            Ok(meta) => Ok(meta.is_some()),
            // A link or folder is in the manifest's place: no manifest of ours.
            Err(error) if error.kind() == arc_backup_core::ErrorKind::Invalid => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
