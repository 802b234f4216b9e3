//! The notes of a target, for lists.

use std::collections::BTreeMap;

use arc_backup_core::{ListOptions, Listed, Meta};
use futures::StreamExt;

use super::layout::{note_key, own};
use super::notes::NOTE_LIMIT;
use super::{Note, Repository};
use crate::Result;
use crate::manifest::BackupId;

impl Repository {
    /// What is known of the notes as objects, by one listing.
    pub(super) async fn listed_notes(&self) -> Result<BTreeMap<BackupId, Meta>> {
        let folder = own("notes");
        let mut listing = self.sink().list(ListOptions::within(&folder));
        let mut notes = BTreeMap::new();
        while let Some(row) = listing.next().await {
            let meta = match row {
                Ok(Listed::Object(meta)) => meta,
                Ok(Listed::Other { .. }) => continue,
                Err(error) if error.is_of_one_place() => continue,
                Err(error) => return Err(error.into()),
            };
            let name = meta.key.as_str().rsplit('/').next().unwrap_or_default();
            let id = (name.strip_suffix(".json")).and_then(|id| BackupId::parse(id).ok());
            if let Some(id) = id.filter(|id| note_key(id) == meta.key) {
                notes.insert(id, meta);
            }
        }
        Ok(notes)
    }

    /// A note that was listed, and what is known of it as an object. `Err`, and a warning, where it
    /// can't be read: whether the backup is pinned or damaged is not known then.
    pub(super) async fn listed_note(&self, id: &BackupId) -> Result<(Note, Option<Meta>), ()> {
        let key = note_key(id);
        match self.read_small_with_meta(&key, NOTE_LIMIT).await {
            Ok(Some((bytes, meta))) => match serde_json::from_slice(&bytes) {
                Ok(note) => Ok((note, Some(meta))),
                Err(error) => {
                    tracing::warn!(target = self.name(), %key, %error, "a note can't be read");
                    Err(())
                }
            },
            Ok(None) => Ok((Note::default(), None)),
            Err(error) => {
                tracing::warn!(target = self.name(), %error, "a note can't be read");
                Err(())
            }
        }
    }
}
