//! Changing the note of a backup, so that two who change it at once keep each other's changes.
//!
//! A verification, a pin and a label may be written at the same moment, by any process and from any
//! host, and beside a backup that holds the target's lock. So notes have a small lock of their own,
//! `.arc-backup/notes.lock`, which is held only while one note is read, changed and written.

use std::time::Duration;

use arc_backup_core::LockGuard;
use tokio::time::Instant;

use super::layout::own;
use super::{Note, Pin, Repository};
use crate::holder::Holder;
use crate::manifest::BackupId;
use crate::{Error, Result};

/// Timeout for the lock: whoever holds it writes one small object.
const LOCK_TIMEOUT: Duration = Duration::from_secs(20);
/// How often the lock is tried.
const INTERVAL: Duration = Duration::from_millis(50);

impl Repository {
    /// Reads the note of a backup, changes it, and writes it, while nobody else writes notes in the
    /// target. Of a run, that is done with the note of each leg. Returns the note as
    /// [`note`](Self::note) reads it afterwards.
    ///
    /// `change` is called once for each note, and gets an empty one where there is none or where it
    /// can't be understood. A note that stays as it is is written too: a caller may try out that
    /// it can be.
    ///
    /// # Errors
    /// [`Error::Busy`] if the lock stays taken for long. The errors of the target.
    pub async fn update_note(
        &self,
        id: &BackupId,
        mut change: impl FnMut(&mut Note) + Send,
    ) -> Result<Note> {
        for part in self.parts() {
            let lock = part.lock_notes().await?;
            let updated = part.update_note_of_one(id, &mut change).await;
            if let Err(error) = lock.release().await {
                tracing::warn!(target = part.name(), %error, "cannot release the lock of the notes");
            }
            updated.map_err(|error| part.named(error))?;
        }
        Ok(self.note(id).await?.unwrap_or_default())
    }

    async fn update_note_of_one(
        &self,
        id: &BackupId,
        change: &mut (impl FnMut(&mut Note) + Send),
    ) -> Result<()> {
        let mut note = match self.note_of_one(id).await {
            Ok(note) => note.unwrap_or_default(),
            // Nobody can read it. It may have had a pin, so that one is in the new note.
            Err(error @ Error::Failed(_)) => {
                tracing::warn!(target = self.name(), %error, "a note is replaced");
                Note {
                    pin: Some(Pin::unreadable()),
                    ..Note::default()
                }
            }
            Err(error) => return Err(error),
        };
        let before = note.fault().cloned();
        change(&mut note);
        if let Some(fault) = note.fault()
            && before.as_ref() != Some(fault)
        {
            // First: what shares its files is in doubt from now on.
            self.keep_damage(id, &fault.at).await?;
        }
        self.keep_note_of_one(id, &note).await
    }

    /// Takes the lock of the notes in this target, and waits for it for a while. While it is held,
    /// no pin, label or verification is written: a deletion can decide by a pin, and remove the
    /// manifest, in one step.
    ///
    /// # Errors
    /// [`Error::Busy`] names the holder.
    pub(crate) async fn lock_notes(&self) -> Result<Box<dyn LockGuard>> {
        let holder = Holder::this("note", &crate::random::random_hex::<8>()?);
        let until = Instant::now() + LOCK_TIMEOUT;
        loop {
            match self.lock_at(&own("notes.lock"), &holder).await {
                Err(Error::Busy(_)) if Instant::now() < until => {
                    tokio::time::sleep(INTERVAL).await;
                }
                taken => return taken,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arc_backup_core::MemorySink;

    use super::*;

    /// Guards against a pin that a verification which ends at the same moment overwrites.
    #[tokio::test]
    async fn changes_at_the_same_moment_are_all_kept() {
        let repository = Repository::new("memory", Arc::new(MemorySink::default()));
        let id = BackupId::parse("backup-20260211-143022-5f0c1d2e").expect("an id");
        let labels = (0..20).map(|number| {
            let (repository, id) = (repository.clone(), id.clone());
            tokio::spawn(async move {
                let label = format!("{number:02}");
                let add = |note: &mut Note| {
                    note.labels.push(label.clone());
                    note.labels.sort();
                };
                repository.update_note(&id, add).await.expect("written");
            })
        });
        for one in labels.collect::<Vec<_>>() {
            one.await.expect("no panic");
        }
        let pinned = repository
            .update_note(&id, |note| note.pin = Some(Pin::default()))
            .await
            .expect("written");
        assert_eq!(pinned.labels.len(), 20);
        assert!(pinned.pin.is_some());
        assert_eq!(repository.note(&id).await.expect("read"), Some(pinned));
    }

    /// Guards against a note that nobody can ever write again, and against one that is overwritten
    /// because it could not be read at the moment.
    #[tokio::test]
    async fn a_broken_note_is_replaced() {
        let repository = Repository::new("memory", Arc::new(MemorySink::default()));
        let id = BackupId::parse("backup-20260211-143022-5f0c1d2e").expect("an id");
        let key = own(&format!("notes/{id}.json"));
        repository.put(&key, b"{".to_vec()).await.expect("room");
        let note = repository.update_note(&id, |note| note.note = Some("x".to_owned()));
        let note = note.await.expect("written");
        assert_eq!(note.note.as_deref(), Some("x"));
        assert_eq!(note.pin, Some(Pin::unreadable()));
    }

    /// Guards against a pin that goes when another field of its note can't be understood.
    #[tokio::test]
    async fn fields_that_are_not_understood_stay_and_cost_no_other() {
        let repository = Repository::new("memory", Arc::new(MemorySink::default()));
        let id = BackupId::parse("backup-20260211-143022-5f0c1d2e").expect("an id");
        let key = own(&format!("notes/{id}.json"));
        let text = r#"{"pin":{"reason":"kept"},"sample":{"next":"00ff"},"labels":"prod","new":1}"#;
        repository.put(&key, text.into()).await.expect("room");
        let add = |note: &mut Note| note.note = Some("x".to_owned());
        let note = repository.update_note(&id, add).await.expect("written");
        assert!(note.pin.is_some() && note.note.is_some(), "{note:?}");
        let read = async || {
            let text = repository
                .read_small(&key, 1 << 20)
                .await
                .expect("readable");
            let value: serde_json::Value =
                serde_json::from_slice(&text.expect("there")).expect("a note");
            value
        };
        let value = read().await;
        assert_eq!(value["sample"]["next"], "00ff", "{value}");
        assert_eq!(value["labels"], "prod", "{value}");
        assert_eq!(value["new"], 1, "{value}");
        // A pin of another shape is a pin, and stays as it is until it is taken away.
        let text = r#"{"pin":"legal hold"}"#;
        repository.put(&key, text.into()).await.expect("room");
        let note = repository.update_note(&id, add).await.expect("written");
        assert_eq!(note.pin, Some(Pin::unreadable()));
        assert_eq!(read().await["pin"], "legal hold");
        let remove = |note: &mut Note| note.pin = None;
        let note = repository.update_note(&id, remove).await.expect("written");
        assert_eq!(note.pin, None);
        assert_eq!(read().await.get("pin"), None);
    }
}
