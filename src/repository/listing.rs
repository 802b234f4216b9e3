//! The list of backups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arc_backup_core::{Access, Child, ErrorKind, Meta};
use futures::{StreamExt, stream};

use super::layout::manifest_key;
use super::list_cache::{Found, Kept, KeptRows, Kind, ListCache, Stamp, now};
use super::summary::sort_newest_first;
use super::{BackupState, Note, Repository, Summary};
use crate::UnreadableState;
use crate::manifest::BackupId;
use crate::{Error, Result};

/// How many manifests are read at once, where a sink does not say how many it takes.
const MANIFESTS_AT_ONCE: usize = 16;
/// The same, at most.
const MOST_AT_ONCE: usize = 256;
/// From how many backups on a list uses what earlier lists read.
const CACHED_FROM: usize = 50;
/// How long a manifest in a store over a network counts as it was when it was last looked at. On
/// this machine each is looked at.
const TRUSTED: Duration = Duration::from_secs(600);
/// How long a manifest on this machine counts as it was read, while its time is the same.
const READ_AGAIN: Duration = Duration::from_secs(86_400);
/// How many rows of the cache are written at once.
const BATCH: usize = 1000;

/// Whether a list may use what earlier lists read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Every manifest and every note is read: for whatever acts on the list.
    Now,
    /// Manifests that were read from the store, or looked at there, within the last ten minutes
    /// count as they were. The folders and the notes are always listed: for display.
    Recent,
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
    /// Lists the backups by their manifests, all of which are read; walks no backup.
    ///
    /// # Errors
    /// When the target can't be listed.
    pub async fn list(&self) -> Result<Listing> {
        self.list_with(Freshness::Now).await
    }

    /// The same, as fresh as it is asked for.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_with(&self, freshness: Freshness) -> Result<Listing> {
        // What is being published or deleted at this moment is read, whatever is kept of it.
        let (unfinished, children, notes, retained) = futures::join!(
            self.journalled(),
            self.sink().list_children(None),
            self.listed_notes(),
            self.retained_folders()
        );
        let (unfinished, retained) = (unfinished?, retained?);
        let notes = match notes {
            Ok(notes) => notes,
            Err(error) if freshness == Freshness::Recent => {
                tracing::warn!(target = self.name(), %error, "the notes can't be listed");
                BTreeMap::new()
            }
            // They say what is pinned, and what is damaged.
            Err(error) => return Err(error.context("the notes of its backups can't be listed")),
        };
        let found: Vec<_> = (children?.into_iter())
            .filter_map(|child| {
                let id = BackupId::parse(child.name()).ok()?;
                // Of a deleted backup, without a request. While it is being deleted, its manifest
                // says.
                let is_deleted = retained.contains(&id) && !unfinished.contains(&id);
                (!is_deleted).then_some((id, child))
            })
            .collect();
        // On this machine, all that is kept was read for a list that may use it.
        let is_kept =
            freshness == Freshness::Recent || self.sink().properties().access == Access::Network;
        let cache = (self.list_cache.as_ref()).filter(|_| is_kept && found.len() >= CACHED_FROM);
        let ids: Vec<_> = found.iter().map(|(id, _)| id.clone()).collect();
        let list = OneList {
            repository: self,
            kept: match (cache, freshness) {
                (Some(cache), Freshness::Recent) => cache.rows().await,
                _ => KeptRows::default(),
            },
            unfinished,
            notes,
        };
        let mut listing = list.read(found, cache).await?;
        if let Some(cache) = cache {
            cache.keep_only(ids).await;
        }
        sort_newest_first(&mut listing.backups);
        listing
            .damaged
            .sort_by(|a, b| b.backup_id.cmp(&a.backup_id));
        listing
            .unreadable
            .sort_by(|a, b| b.backup_id.cmp(&a.backup_id));
        Ok(listing)
    }

    /// How many small requests are under way at once.
    fn requests_at_once(&self) -> usize {
        let takes = self.sink().properties().concurrency.unwrap_or_default();
        takes.clamp(MANIFESTS_AT_ONCE, MOST_AT_ONCE)
    }
}

/// A list that is being made.
struct OneList<'a> {
    repository: &'a Repository,
    kept: KeptRows,
    unfinished: BTreeSet<BackupId>,
    notes: BTreeMap<BackupId, Meta>,
}

/// What is known of a folder with the name of a backup, and what to keep of it.
struct Row {
    id: BackupId,
    summary: Result<Summary>,
    found: Vec<Found>,
}

impl OneList<'_> {
    async fn read(
        &self,
        found: Vec<(BackupId, Child)>,
        cache: Option<&ListCache>,
    ) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut to_keep = Vec::new();
        // Many at once: each is a request, and most of it is waiting.
        let mut rows = stream::iter(found)
            .map(|(id, child)| self.row(id, child))
            .buffered(self.repository.requests_at_once());
        while let Some(row) = rows.next().await {
            let id = row.id;
            if cache.is_some() {
                to_keep.extend(row.found);
            }
            if let Some(cache) = cache.filter(|_| to_keep.len() >= BATCH) {
                // A list that is given up leaves what it has read so far.
                cache.keep(std::mem::take(&mut to_keep)).await;
            }
            let damaged = |detail: String| Damaged {
                backup_id: id.to_string(),
                target: self.repository.name().to_owned(),
                state: BackupState::Damaged,
                detail,
            };
            match row.summary {
                Ok(summary) => listing.backups.push(summary),
                // Between the listing and now it went: deleted, or never finished.
                Err(Error::NotFound(_)) => {}
                Err(_) if self.unfinished.contains(&id) => {}
                Err(Error::Damaged { detail, .. }) => listing.damaged.push(damaged(detail)),
                Err(Error::Unreadable { state, detail, .. }) => {
                    listing.unreadable.push(Unreadable {
                        backup_id: id.to_string(),
                        target: self.repository.name().to_owned(),
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
        if let Some(cache) = cache {
            cache.keep(to_keep).await;
        }
        Ok(listing)
    }

    async fn row(&self, id: BackupId, child: Child) -> Row {
        let mut found = Vec::new();
        let summary = match child {
            Child::Folder(_) => match self.manifest(&id, &mut found).await {
                Ok(summary) => Ok(match self.note(&id, &mut found).await {
                    Ok(note) => summary.with_note(note),
                    Err(()) => Summary {
                        note_unreadable: true,
                        ..summary
                    },
                }),
                Err(error) => Err(error),
            },
            Child::Object(_) => Err(damaged(&id, "is a file, not a folder".to_owned())),
            Child::Other(_, kind) => Err(damaged(&id, format!("is {}", kind.as_str()))),
        };
        Row { id, summary, found }
    }

    /// What the manifest says: the one that is kept, if it is still the same, or the one that is
    /// read.
    async fn manifest(&self, id: &BackupId, found: &mut Vec<Found>) -> Result<Summary> {
        let kept = (self.kept.manifests.get(id)).filter(|_| !self.unfinished.contains(id));
        if let Some(kept) = kept
            && let Some(summary) = self.still(id, kept, found).await
        {
            return Ok(summary);
        }
        let began = now();
        let (loaded, meta) = self.repository.load_with_meta(id).await?;
        let summary = Summary::of(self.repository.name(), &loaded);
        let stamp = Stamp::of(&meta, &self.repository.sink().properties());
        found.extend(
            stamp.and_then(|stamp| Found::read(Kind::Manifest, id, stamp, &summary, began)),
        );
        Ok(summary)
    }

    async fn still(&self, id: &BackupId, kept: &Kept, found: &mut Vec<Found>) -> Option<Summary> {
        let properties = self.repository.sink().properties();
        if properties.access == Access::Network && kept.is_within(TRUSTED) {
            return kept.value();
        }
        // A disk may lose bytes and keep the time.
        if properties.access != Access::Network && !kept.is_within(READ_AGAIN) {
            return None;
        }
        let summary: Summary = kept.value()?;
        // Of a backup that Arc made, other objects count too.
        summary.files?;
        let began = now();
        let meta = self
            .repository
            .sink()
            .head(&manifest_key(id))
            .await
            .ok()??;
        if meta.archived || Stamp::of(&meta, &properties).as_ref() != Some(&kept.stamp) {
            return None;
        }
        if properties.access == Access::Network {
            found.push(Found::Same(id.clone(), kept.stamp.clone(), began));
        }
        Some(summary)
    }

    /// The note; `Err` where it can't be read. A backup without one costs no request, nor does one
    /// whose note is the same.
    async fn note(&self, id: &BackupId, found: &mut Vec<Found>) -> Result<Note, ()> {
        let Some(listed) = self.notes.get(id) else {
            return Ok(Note::default());
        };
        let properties = self.repository.sink().properties();
        let stamp = Stamp::of(listed, &properties);
        if let (Some(stamp), Some(kept)) = (&stamp, self.kept.notes.get(id))
            && kept.stamp == *stamp
            && let Some(note) = kept.value()
        {
            return Ok(note);
        }
        let began = now();
        let (note, meta) = self.repository.listed_note(id).await?;
        // It may have been written again since it was listed.
        if let (Some(stamp), Some(meta)) = (stamp, meta)
            && Stamp::of(&meta, &properties).as_ref() == Some(&stamp)
        {
            found.extend(Found::read(Kind::Note, id, stamp, &note, began));
        }
        Ok(note)
    }
}

fn damaged(id: &BackupId, detail: String) -> Error {
    Error::Damaged {
        id: id.to_string(),
        detail,
    }
}
