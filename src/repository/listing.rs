//! The list of backups.

use std::collections::BTreeSet;

use arc_backup_core::{Child, ErrorKind};
use futures::{StreamExt, stream};

use super::{BackupState, LastVerified, Loaded, Note, Repository};
use crate::UnreadableState;
use crate::manifest::{BackupId, Manifest, Run, Skipped};
use crate::{Error, Result};

/// How many manifests are read at once.
const MANIFESTS_AT_ONCE: usize = 16;

/// What a list says of one backup.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The backup's id.
    pub backup_id: String,
    /// When the backup began, RFC 3339, UTC.
    pub created_at: String,
    /// `full`.
    pub backup_type: String,
    /// Parquet files of databases.
    pub total_files: u64,
    /// Their size in bytes.
    pub total_size_bytes: u64,
    /// How many databases.
    pub database_count: u64,
    /// The databases that were asked for, sorted; empty where it has all of them.
    pub scope: Vec<String>,
    /// The target that holds it; of a run, the default one.
    pub target: String,
    /// All targets that hold it, or a leg of it.
    pub targets: Vec<String>,
    /// Whether legs of it could not be read, so that the figures are those of the others.
    pub partial_view: bool,
    /// What says that it is only a leg, where it is one.
    pub leg: Option<Leg>,
    /// The instance that made it: a random name. Absent in a backup that Arc itself made.
    pub instance: Option<String>,
    /// The instance that made it, as Arc 27.01 names it. Absent in backups of earlier releases.
    pub owner_instance_id: Option<String>,
    /// Whether that is known to be another instance than this one. A target does not know: the
    /// engine says so.
    pub is_foreign: bool,
    /// Where its data came from: the kind of storage, and the path or URL without credentials.
    pub source_location: Option<String>,
    /// Files with unsupported names, which the backup does not hold.
    pub unaddressable_files: u64,
    /// Files that Arc skipped when it made the backup.
    pub skipped: Skipped,
    /// What is known of it: `ok`, `unverified` or `damaged`.
    pub state: BackupState,
    /// Whether it has checksums: false for a backup that Arc before 27.01 made.
    pub has_checksums: bool,
    /// All its files, databases and configuration too; absent in a backup that Arc itself made.
    pub files: Option<u64>,
    /// Their size in bytes.
    pub bytes: Option<u64>,
    /// When it was last verified, and what came of it; absent when it never was.
    pub last_verified: Option<LastVerified>,
    /// When every byte of it was last read, where that was not the last time.
    pub last_full: Option<LastVerified>,
    /// The verification that found the fault of a damaged one, where that was not the last time.
    pub last_failed: Option<LastVerified>,
}

/// What the manifest of a leg says of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// The run.
    pub run: Run,
    /// Whether it is the one in the default target.
    pub is_default: bool,
    /// Why it is no leg of the run, if it is none: it is that of another target.
    pub fault: Option<String>,
}

impl Leg {
    /// What the manifest of a backup in `target` says; `None` where it is whole by itself.
    #[must_use]
    pub fn of(target: &str, manifest: &Manifest) -> Option<Self> {
        let run = manifest.run()?;
        Some(Self {
            is_default: manifest.is_default_leg(),
            fault: manifest.check_leg(target, &run).err(),
            run,
        })
    }
}

impl Summary {
    /// Whether it has all databases: only such a backup brings a whole instance back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.scope.is_empty()
    }
}

#[cfg(test)]
impl Summary {
    /// One for tests, of a file.
    pub(crate) fn example(backup_id: &str, target: &str, state: BackupState) -> Self {
        Self {
            backup_id: backup_id.to_owned(),
            created_at: String::new(),
            backup_type: "full".to_owned(),
            total_files: 1,
            total_size_bytes: 1,
            database_count: 1,
            scope: Vec::new(),
            target: target.to_owned(),
            targets: vec![target.to_owned()],
            partial_view: false,
            leg: None,
            instance: None,
            owner_instance_id: None,
            is_foreign: false,
            source_location: None,
            unaddressable_files: 0,
            skipped: Skipped::default(),
            state,
            has_checksums: true,
            files: None,
            bytes: None,
            last_verified: None,
            last_full: None,
            last_failed: None,
        }
    }
}

/// Something that has the name of a backup and is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The folder's name.
    pub backup_id: String,
    /// The target that holds it.
    pub target: String,
    /// Always `damaged`.
    pub state: BackupState,
    /// What is wrong.
    pub detail: String,
}

/// A backup that is there and can't be read now. That says nothing of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The folder's name.
    pub backup_id: String,
    /// The target that holds it.
    pub target: String,
    /// Why it can't be read.
    pub state: UnreadableState,
    /// The same for people, and what to do.
    pub detail: String,
}

/// The backups of one target, newest first, and folders that only look like one.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The backups.
    pub backups: Vec<Summary>,
    /// Folders with the name of a backup that are not one.
    pub damaged: Vec<Damaged>,
    /// Backups that can't be read now.
    pub unreadable: Vec<Unreadable>,
}

impl Repository {
    /// Lists the backups by their manifests; walks no backup.
    ///
    /// # Errors
    /// When the target can't be listed.
    pub async fn list(&self) -> Result<Listing> {
        let unfinished = self.journalled().await?;
        let mut listing = Listing::default();
        let (children, noted, retained) = futures::join!(
            self.sink().list_children(None),
            self.noted(),
            self.retained_folders()
        );
        let noted = noted.unwrap_or_else(|error| {
            tracing::warn!(target = self.name(), %error, "the notes can't be listed");
            BTreeSet::new()
        });
        let children = children?;
        let retained = retained?;
        let found = children.into_iter().filter_map(|child| {
            let id = BackupId::parse(child.name()).ok()?;
            // Of a deleted backup, without a request. While it is being deleted, its manifest says.
            let is_deleted = retained.contains(&id) && !unfinished.contains(&id);
            (!is_deleted).then_some((id, child))
        });
        // Many manifests at once: each is a request, and most of it is waiting.
        let mut rows = stream::iter(found)
            .map(async |(id, child)| {
                let loaded = match child {
                    Child::Folder(_) => self.load(&id).await,
                    Child::Object(_) => Err(damaged(&id, "is a file, not a folder".to_owned())),
                    Child::Other(_, kind) => Err(damaged(&id, format!("is {}", kind.as_str()))),
                };
                let note = match loaded {
                    // A backup without a note costs no request.
                    Ok(_) if noted.contains(&id) => self.note_to_show(&id).await,
                    _ => Note::default(),
                };
                (id, loaded, note)
            })
            .buffered(MANIFESTS_AT_ONCE);
        while let Some((id, loaded, note)) = rows.next().await {
            let damaged = |detail: String| Damaged {
                backup_id: id.to_string(),
                target: self.name().to_owned(),
                state: BackupState::Damaged,
                detail,
            };
            match loaded {
                Ok(loaded) => listing.backups.push(self.summary(&loaded, note)),
                // Between the listing and now it went: deleted, or never finished.
                Err(Error::NotFound(_)) => {}
                Err(_) if unfinished.contains(&id) => {}
                Err(Error::Damaged { detail, .. }) => listing.damaged.push(damaged(detail)),
                Err(Error::Unreadable { state, detail, .. }) => {
                    listing.unreadable.push(Unreadable {
                        backup_id: id.to_string(),
                        target: self.name().to_owned(),
                        state,
                        detail,
                    });
                }
                // A target that can't be asked says nothing about its backups.
                Err(Error::Storage(error))
                    if matches!(
                        error.kind(),
                        ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::PermissionDenied
                    ) =>
                {
                    return Err(error.into());
                }
                Err(error) => listing.damaged.push(damaged(error.to_string())),
            }
        }
        drop(rows);
        listing.backups.sort_by(newest_first);
        listing
            .damaged
            .sort_by(|a, b| b.backup_id.cmp(&a.backup_id));
        listing
            .unreadable
            .sort_by(|a, b| b.backup_id.cmp(&a.backup_id));
        Ok(listing)
    }

    fn summary(&self, loaded: &Loaded, note: Note) -> Summary {
        let manifest = &loaded.manifest;
        let inventory = manifest.inventory.as_ref();
        let state = BackupState::of(&note);
        let is_other = |other: &LastVerified| Some(other) != note.last_verified.as_ref();
        Summary {
            backup_id: manifest.backup_id.clone(),
            created_at: manifest.created_at.clone(),
            backup_type: manifest.backup_type.clone(),
            total_files: manifest.total_files,
            total_size_bytes: manifest.total_size_bytes,
            database_count: manifest.databases.len() as u64,
            scope: manifest.scope.clone(),
            target: self.name().to_owned(),
            targets: vec![self.name().to_owned()],
            partial_view: false,
            leg: Leg::of(self.name(), manifest),
            instance: (manifest.source.as_ref()).and_then(|source| source.instance.clone()),
            owner_instance_id: manifest.owner_instance_id.clone(),
            is_foreign: false,
            source_location: (manifest.source.as_ref())
                .map(|source| format!("{} {}", source.backend, source.location)),
            unaddressable_files: manifest.unaddressable_files,
            skipped: Skipped::of(manifest),
            state,
            has_checksums: loaded.has_checksums,
            files: inventory.map(|inventory| inventory.entries),
            bytes: inventory.map(|inventory| inventory.bytes),
            last_full: note.last_full.as_ref().filter(|one| is_other(one)).cloned(),
            last_failed: note.fault().filter(|one| is_other(one)).cloned(),
            last_verified: note.last_verified,
        }
    }
}

fn damaged(id: &BackupId, detail: String) -> Error {
    Error::Damaged {
        id: id.to_string(),
        detail,
    }
}

/// By the moment, not the text: Go trims zeros from fractions of seconds.
pub(crate) fn newest_first(a: &Summary, b: &Summary) -> std::cmp::Ordering {
    let moment = |s: &Summary| s.created_at.parse::<jiff::Timestamp>().ok();
    (moment(b), &b.backup_id).cmp(&(moment(a), &a.backup_id))
}
