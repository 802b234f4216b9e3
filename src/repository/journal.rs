//! Journals: which backups are being changed, so that the files left by a crash are known.

use std::collections::BTreeSet;

use arc_backup_core::{Child, Databases, Discard, Discarded, ErrorKind, Key};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::{manifest_key, own};
use super::{Repository, Unneeded};
use crate::manifest::BackupId;
use crate::own_folder::OWN_FOLDER;
use crate::{Error, Result};

/// `.arc-backup/journal/{backup_id}.json`: it exists from before the first change to a backup until
/// after the last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Journal {
    /// `backup`, `copy`, `import` or `delete`.
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
    /// The databases that a backup is limited to; empty if it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// The target of the default leg, where the backup is another leg: its manifest is written
    /// after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_target: Option<String>,
    /// The targets of the other legs, where the backup is the default leg.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<String>,
}

/// The operation in the journal of a deletion.
pub(crate) const DELETE: &str = "delete";

/// The suffix of the marker that a journal ended.
const ENDED: &str = ".ended";

fn ended_key(id: &BackupId) -> Key {
    own(&format!("journal/{id}{ENDED}"))
}

/// How many unfinished backups are resumed at most, of those of all databases and of those of some
/// each; older ones are removed.
const MAX_RESUMED: usize = 3;
/// The largest journal that is read, in bytes.
const JOURNAL_LIMIT: u64 = 1 << 20;

/// An unfinished backup that can be resumed.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    pub(crate) id: BackupId,
    /// The databases that it was to be of.
    pub(crate) databases: Databases,
}

/// What a sweep found, and removed if it was asked to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Unfinished backups and deletions, and leftovers without a journal, by id.
    pub unfinished: Vec<String>,
    /// Those of them that were to be removed and could not be.
    pub left: Vec<String>,
    /// Of those in `unfinished`, files of deleted backups that no other needs.
    pub unneeded: Vec<Unneeded>,
    /// Incomplete uploads.
    pub temporaries: u64,
    /// What could not be removed, and why. Credentials that may not delete are one fault, however
    /// many files stay.
    pub faults: Vec<String>,
}

impl Swept {
    /// Adds files of deleted backups that no other needs.
    pub(crate) fn add_unneeded(&mut self, unneeded: Vec<Unneeded>) {
        for one in &unneeded {
            if !self.unfinished.contains(&one.backup_id) {
                self.unfinished.push(one.backup_id.clone());
            }
        }
        self.unneeded = unneeded;
    }

    /// Records that `what` could not be removed.
    pub(crate) fn add_fault(&mut self, what: &str, error: &Error) {
        let text = match error {
            Error::Storage(error) if error.kind() == ErrorKind::PermissionDenied => {
                without_right(error)
            }
            error if what.is_empty() => error.to_string(),
            error => format!("{what}: {error}"),
        };
        if !self.faults.contains(&text) {
            self.faults.push(text);
        }
    }
}

/// The one message for all leftovers where the right to delete is missing.
pub(super) fn without_right(error: &arc_backup_core::Error) -> String {
    format!(
        "{}; leftovers stay until `sweep --apply` runs with credentials that may delete",
        error.detail()
    )
}

/// The backups that the names in the journal folder are of.
#[derive(Debug, Default)]
pub(super) struct Journals {
    /// Backups that are being changed, or were when their operation died.
    pub(super) open: BTreeSet<BackupId>,
    /// Backups whose journals ended and could not be removed.
    pub(super) ended: BTreeSet<BackupId>,
    /// Backups that have a log of the files that they stored.
    pub(super) with_log: BTreeSet<BackupId>,
}

impl Repository {
    /// Records that a backup is being changed.
    ///
    /// # Errors
    /// Where it is made in the folder of a deleted one of which others need files.
    pub(crate) async fn begin_journal(&self, journal: &Journal) -> Result<()> {
        if journal.operation != DELETE
            && let Ok(id) = BackupId::parse(&journal.backup_id)
            && self.is_retained(&id).await?
        {
            return Err(Error::Failed(match journal.operation.as_str() {
                // A copy has the id of what it is a copy of.
                "copy" => format!(
                    "backup `{id}` was deleted there and {} still need files of it: delete these first, then copy all of them again",
                    self.backups_needing(&id).await
                ),
                "import" => format!(
                    "backup `{id}` was deleted there and {} still need files of it: delete these first, or import into another \
                     target (--target)",
                    self.backups_needing(&id).await
                ),
                _ => format!(
                    "backup `{id}` was deleted and other backups still need files of it: the new one needs another id"
                ),
            }));
        }
        let text = serde_json::to_vec(journal).expect("plain data is valid JSON");
        self.put(&own(&format!("journal/{}.json", journal.backup_id)), text)
            .await
    }

    /// Begins a journal for a backup that may have had one before.
    pub(crate) async fn begin_again(&self, journal: &Journal) -> Result<()> {
        if let Ok(id) = BackupId::parse(&journal.backup_id) {
            self.reopen_journal(&id).await?;
        }
        self.begin_journal(journal).await
    }

    /// Removes the journal of a backup. Without the right to delete it is marked as ended, which
    /// serves as well.
    pub(crate) async fn end_journal(&self, id: &BackupId) -> Result<()> {
        match self.remove_journal(id).await {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                match self.put(&ended_key(id), Vec::new()).await {
                    Ok(()) => Ok(()),
                    Err(_) => Err(error.into()),
                }
            }
            removed => Ok(removed?),
        }
    }

    async fn remove_journal(&self, id: &BackupId) -> Result<(), arc_backup_core::Error> {
        let log = own(&format!("journal/{id}"));
        self.sink().remove_tree(&log, &self.activity).await?;
        self.sink()
            .delete(&[own(&format!("journal/{id}.json")), ended_key(id)])
            .await
    }

    /// Removes the marker that the journal of a backup ended: another one begins.
    pub(super) async fn reopen_journal(&self, id: &BackupId) -> Result<()> {
        if self.journals().await?.ended.contains(id) {
            self.sink().delete(&[ended_key(id)]).await?;
        }
        Ok(())
    }

    pub(super) async fn journals(&self) -> Result<Journals, arc_backup_core::Error> {
        let mut journals = Journals::default();
        for child in self.sink().list_children(Some(&own("journal"))).await? {
            let id = |suffix| BackupId::parse(child.name().strip_suffix(suffix)?).ok();
            match &child {
                Child::Object(_) => {
                    journals.open.extend(id(".json"));
                    journals.ended.extend(id(ENDED));
                }
                Child::Folder(_) => journals.with_log.extend(id("")),
                Child::Other(..) => {}
            }
        }
        let ended = &journals.ended;
        journals.open.retain(|id| !ended.contains(id));
        Ok(journals)
    }

    /// The ids that journals name.
    pub(crate) async fn journalled(&self) -> Result<BTreeSet<BackupId>, arc_backup_core::Error> {
        Ok(self.journals().await?.open)
    }

    /// The journals that did not end and can be read.
    pub(crate) async fn open_journals(&self) -> Result<Vec<(BackupId, Journal)>> {
        let mut journals = Vec::new();
        for id in self.journalled().await? {
            let journal = self.read_journal(&id).await?;
            journals.extend(journal.map(|journal| (id, journal)));
        }
        Ok(journals)
    }

    /// The journal of a backup; `None` where there is none, it ended, or it is not a journal.
    pub(crate) async fn open_journal(&self, id: &BackupId) -> Result<Option<Journal>> {
        match self.journalled().await?.contains(id) {
            true => self.read_journal(id).await,
            false => Ok(None),
        }
    }

    async fn read_journal(&self, id: &BackupId) -> Result<Option<Journal>> {
        let key = own(&format!("journal/{id}.json"));
        let text = self.read_small(&key, JOURNAL_LIMIT).await?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// The unfinished backups that can be resumed, newest first: they have a log of the files that
    /// they stored. At most [`MAX_RESUMED`] of all databases, and as many of some.
    pub(crate) async fn resumable(&self) -> Result<Vec<Unfinished>> {
        let journals = self.journals().await?;
        let mut resumable = Vec::new();
        let found: Vec<_> = journals.with_log.intersection(&journals.open).collect();
        let (mut whole, mut scoped) = (0, 0);
        for id in found.into_iter().rev() {
            if whole == MAX_RESUMED && scoped == MAX_RESUMED {
                break;
            }
            if self.is_published(id).await? {
                continue;
            }
            let databases = self.databases_of_journal(id).await?;
            let count = match databases {
                Databases::All => &mut whole,
                _ => &mut scoped,
            };
            if *count < MAX_RESUMED {
                *count += 1;
                let id = id.clone();
                resumable.push(Unfinished { id, databases });
            }
        }
        Ok(resumable)
    }

    /// The databases that an unfinished backup was to be of: all, where its journal can't be read.
    async fn databases_of_journal(&self, id: &BackupId) -> Result<Databases> {
        let key = own(&format!("journal/{id}.json"));
        let text = match self.read_small(&key, JOURNAL_LIMIT).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error.into()),
            read => read.ok().flatten().unwrap_or_default(),
        };
        let scope = serde_json::from_slice::<Journal>(&text).map(|journal| journal.scope);
        Ok(match scope.unwrap_or_default() {
            none if none.is_empty() => Databases::All,
            some => Databases::Only(some.into_iter().collect()),
        })
    }

    /// Finishes or removes what a journal names as unfinished, and nothing else. The caller holds
    /// the lock.
    ///
    /// A backup that was published stays, whatever its journal says: its manifest is written last.
    /// A deletion that had not begun (the manifest is still there) is forgotten; one that had is
    /// finished.
    ///
    /// Files that can't be removed stay for the next sweep, and are named in [`Swept::faults`].
    ///
    /// The backups in `kept` stay as they are.
    ///
    /// # Errors
    /// When the journals can't be read.
    pub(crate) async fn sweep_except(&self, apply: bool, kept: &[BackupId]) -> Result<Swept> {
        let mut swept = Swept::default();
        let journals = self.journals().await?;
        for id in journals.open {
            if kept.contains(&id) {
                continue;
            }
            let published = match self.is_published(&id).await {
                Ok(published) => published,
                Err(error) => {
                    swept.add_fault(id.as_str(), &error);
                    continue;
                }
            };
            if !published {
                swept.unfinished.push(id.to_string());
            }
            if apply && let Err(error) = self.sweep_one(&id, published).await {
                swept.left.push(id.to_string());
                tracing::warn!(backup = %id, %error, "leftovers of an interrupted operation can't be removed");
                swept.add_fault(id.as_str(), &error);
            }
        }
        for id in journals.ended {
            if apply && let Err(error) = self.remove_journal(&id).await {
                swept.add_fault(id.as_str(), &error.into());
                // The others would be refused as well.
                break;
            }
        }
        let folder = Key::parse(OWN_FOLDER).expect("a fixed name");
        if apply && let Err(error) = self.remove_probes(&folder).await {
            swept.add_fault("", &error);
        }
        let discard = if apply {
            Discard::Remove
        } else {
            Discard::Count
        };
        let mut discarded = Discarded::default();
        discarded.add(self.sink().discard_unfinished(Some(&folder), discard).await);
        swept.temporaries = discarded.count;
        for fault in discarded.faults {
            swept.add_fault("", &fault.into());
        }
        Ok(swept)
    }

    /// Removes the probes of a doctor that was killed. One that runs at this moment makes its probe
    /// again when it is run again.
    async fn remove_probes(&self, folder: &Key) -> Result<()> {
        let probes: Vec<_> = (self.sink().list_children(Some(folder)).await?.into_iter())
            .filter(|child| child.name().starts_with("probe-"))
            .map(|child| own(child.name()))
            .collect();
        Ok(self.sink().delete(&probes).await?)
    }

    pub(crate) async fn sweep_one(&self, id: &BackupId, published: bool) -> Result<()> {
        match published {
            // Of a deletion that did not begin.
            true if self.is_retained(id).await? => self.forget_retained(id).await?,
            true => {}
            false => self.remove_unpublished(id).await?,
        }
        self.end_journal(id).await
    }

    /// Removes the files of a backup that was not published, and keeps its journal.
    pub(crate) async fn remove_unpublished(&self, id: &BackupId) -> Result<()> {
        tracing::info!(backup = %id, "removing leftovers of an interrupted operation");
        if !self.finish_retained(id).await? {
            self.remove_backup(id).await?;
        }
        Ok(())
    }

    /// Whether files in the folder of this backup are kept: it is published, or others need some of
    /// its files.
    pub(crate) async fn holds_files(&self, id: &BackupId) -> Result<bool> {
        Ok(self.is_published(id).await? || self.is_retained(id).await?)
    }

    /// Whether the backup has a manifest, whatever is in it. A fault of the target is an error: it
    /// must not cost a backup.
    pub(crate) async fn is_published(&self, id: &BackupId) -> Result<bool> {
        match self.sink().head(&manifest_key(id)).await {
            Ok(meta) => Ok(meta.is_some()),
            // A link or folder in its place is not a manifest of ours.
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
