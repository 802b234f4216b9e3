//! Notes: facts about a backup that change after it was made, such as when it was last verified.
//!
//! A backup exists without its note: where a note is broken or can't be written, only the note is
//! lost.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Repository;
use super::layout::note_key;
use crate::manifest::BackupId;
use crate::{Error, Result};

/// The field of the pin.
const PIN: &str = "pin";
/// The largest note that is read, in bytes.
pub(super) const NOTE_LIMIT: u64 = 1 << 20;

/// `.arc-backup/notes/{backup_id}.json`. Fields that this release does not know are kept when it is
/// rewritten.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Note {
    /// The last verification that came to its end.
    pub last_verified: Option<LastVerified>,
    /// The last one of every byte.
    pub last_full: Option<LastVerified>,
    /// The last one that found a fault, until a full one finds nothing wrong.
    pub last_failed: Option<LastVerified>,
    /// The last rehearsal of a restore that came to its end.
    pub last_rehearsed: Option<LastVerified>,
    /// Which files the next sample reads.
    pub sample: Option<SampleCursor>,
    /// That it must not be deleted.
    pub pin: Option<Pin>,
    /// Labels, sorted.
    pub labels: Vec<String>,
    /// A text for people.
    pub note: Option<String>,
    /// Whatever else was in the file.
    pub unknown: Map<String, Value>,
}

impl From<Map<String, Value>> for Note {
    /// Reads field by field: one that this release does not understand stays as it is, and costs
    /// none of the others. A pin that it does not understand is a pin.
    fn from(mut fields: Map<String, Value>) -> Self {
        let mut note = Self {
            last_verified: take(&mut fields, "last_verified"),
            last_full: take(&mut fields, "last_full"),
            last_failed: take(&mut fields, "last_failed"),
            last_rehearsed: take(&mut fields, "last_rehearsed"),
            sample: take(&mut fields, "sample"),
            pin: take(&mut fields, PIN),
            labels: take(&mut fields, "labels").unwrap_or_default(),
            note: take(&mut fields, "note"),
            unknown: fields,
        };
        if note.unknown.get(PIN).is_some_and(|pin| !pin.is_null()) {
            note.pin = Some(Pin::unreadable());
        }
        note
    }
}

impl From<Note> for Map<String, Value> {
    fn from(note: Note) -> Self {
        let mut fields = note.unknown;
        let pin = match (&note.pin, fields.get(PIN)) {
            // As it was read.
            (Some(pin), Some(_)) if *pin == Pin::unreadable() => fields.remove(PIN),
            (pin, _) => pin.as_ref().map(|pin| json!(pin)),
        };
        let labels = (!note.labels.is_empty()).then(|| json!(note.labels));
        for (name, value) in [
            ("last_verified", note.last_verified.map(|done| json!(done))),
            ("last_full", note.last_full.map(|done| json!(done))),
            ("last_failed", note.last_failed.map(|done| json!(done))),
            (
                "last_rehearsed",
                note.last_rehearsed.map(|done| json!(done)),
            ),
            ("sample", note.sample.map(|cursor| json!(cursor))),
            (PIN, pin),
            ("labels", labels),
            ("note", note.note.map(Value::String)),
        ] {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            } else if name == PIN {
                fields.remove(PIN);
            }
        }
        fields
    }
}

/// Takes a field of a note; `None` where it is absent or can't be understood, and stays.
fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, name: &str) -> Option<T> {
    let value = serde_json::from_value(fields.get(name)?.clone()).ok()?;
    fields.remove(name);
    value
}

/// That a backup must not be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pin {
    /// Since when, RFC 3339, UTC.
    pub at: String,
    /// Who pinned it: a token's name, or a user's.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when, RFC 3339, UTC; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl Pin {
    /// What stands for a pin that can't be understood, or may have been in a note that is lost.
    pub(crate) fn unreadable() -> Self {
        Self {
            by: "?".to_owned(),
            reason: Some("its note can't be read: it may have been pinned".to_owned()),
            ..Self::default()
        }
    }
}

/// When a backup was last verified, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastVerified {
    /// When that ended, RFC 3339, UTC.
    pub at: String,
    /// `full`, `quick` or `sample`; `reuse`: a backup found damaged files when it reused them;
    /// `rehearsal`: a rehearsal found faults.
    pub mode: String,
    /// Whether nothing was wrong.
    pub ok: bool,
    /// The operation that did it.
    pub operation_id: String,
    /// Of a sample: the share of the files that it read, 0.05 for a twentieth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Of a sample: how much of the backup the samples of this round have read; 1 when all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<f64>,
}

impl LastVerified {
    /// The mode of what a backup found when it reused files.
    pub const REUSE: &str = "reuse";
    /// The mode of the faults that a rehearsal found.
    pub const REHEARSAL: &str = "rehearsal";
}

/// Where the next sample begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleCursor {
    /// The position of 2^32 at which it begins.
    pub next: u32,
    /// How many positions before that one have been read in this round.
    pub covered: u64,
}

impl Repository {
    /// The note of a backup, or of a leg, in this target.
    pub(super) async fn note_of_one(&self, id: &BackupId) -> Result<Option<Note>> {
        let key = note_key(id);
        let Some(bytes) = self.read_small(&key, NOTE_LIMIT).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| Error::Failed(format!("`{key}` is not a note: {e}")))
    }

    /// The same for callers that only show it: a note that can't be read counts as none, with a
    /// warning.
    pub async fn note_to_show(&self, id: &BackupId) -> Note {
        match self.note(id).await {
            Ok(note) => note.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(target = self.name(), %error, "a note can't be read");
                Note::default()
            }
        }
    }

    /// Writes the note of a backup, or of a leg, in this target. The caller holds the lock
    /// of the notes.
    pub(super) async fn keep_note_of_one(&self, id: &BackupId, note: &Note) -> Result<()> {
        let text = serde_json::to_vec(note).expect("plain data is valid JSON");
        self.put(&note_key(id), text).await
    }
}
