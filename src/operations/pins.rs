//! Pins: backups that nothing deletes.

use arc_backup_core::{Error as CoreError, ErrorKind, LockGuard};
use jiff::Timestamp;

use crate::manifest::BackupId;
use crate::operations::{ArcBackup, Who};
use crate::repository::{Note, Pin, Repository, is_in_force};
use crate::{Error, Result};

/// The longest reason, in bytes.
const LONGEST_REASON: usize = 1000;

/// Why a backup is to be pinned, and until when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinRequest {
    /// Why.
    pub reason: Option<String>,
    /// Until when; `None` for ever.
    pub until: Option<Timestamp>,
}

/// A backup after it was pinned or unpinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedBackup {
    /// The backup.
    pub backup_id: String,
    /// The targets that hold it, or a leg of it.
    pub targets: Vec<String>,
    /// Its pin; `None` where it has none now.
    pub pin: Option<Pin>,
}

impl ArcBackup {
    /// Pins a backup: no prune and no deletion removes it until it is unpinned, or the pin expires.
    /// A pin that it has already is replaced.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what is wrong with reason or time. [`Error::Busy`] means that
    /// the notes of the target are being written for long. Others as [`locate`](Self::locate).
    pub async fn pin(
        &self,
        id: &BackupId,
        target: Option<&str>,
        wanted: PinRequest,
        who: &Who,
    ) -> Result<PinnedBackup> {
        let now = Timestamp::now();
        check(&wanted, now)?;
        let pin = Pin {
            at: now.to_string(),
            by: who.actor.clone(),
            reason: wanted.reason.filter(|reason| !reason.trim().is_empty()),
            until: wanted.until.map(|until| in_seconds(until).to_string()),
        };
        self.set_pin(id, target, Some(pin), who).await
    }

    /// Removes the pin of a backup. One that has none is no error.
    ///
    /// # Errors
    /// As [`pin`](Self::pin).
    pub async fn unpin(
        &self,
        id: &BackupId,
        target: Option<&str>,
        who: &Who,
    ) -> Result<PinnedBackup> {
        self.set_pin(id, target, None, who).await
    }

    async fn set_pin(
        &self,
        id: &BackupId,
        target: Option<&str>,
        pin: Option<Pin>,
        who: &Who,
    ) -> Result<PinnedBackup> {
        self.check_place()?;
        let (repository, found) = self.locate(id, target).await?;
        // One that is damaged, or lies in an archive, can be pinned too.
        if let Ok(loaded) = &found
            && loaded.manifest.is_leg()
            && repository.legs().is_empty()
        {
            return Err(Error::Invalid(format!(
                "backup `{id}` is over the targets {}: pin all of it, without --target (`target`)",
                loaded.manifest.run_targets.join(", ")
            )));
        }
        let action = if pin.is_some() { "pin" } else { "unpin" };
        let set = |note: &mut Note| note.pin.clone_from(&pin);
        repository.update_note(id, set).await?;
        tracing::info!(target: "arc_backup::audit", backup = %id, actor = who.actor, origin = %who.origin, action, "pin changed");
        Ok(PinnedBackup {
            backup_id: id.to_string(),
            targets: (repository.parts().iter())
                .map(|part| part.name().to_owned())
                .collect(),
            pin,
        })
    }

    /// Finds what is to be deleted, unless it is pinned.
    pub(crate) async fn locate_to_delete(
        &self,
        id: &BackupId,
        target: Option<&str>,
    ) -> Result<Repository> {
        let repository = self.locate_anything(id, target).await?;
        check_not_pinned(&repository, id).await?;
        Ok(repository)
    }
}

fn check(wanted: &PinRequest, now: Timestamp) -> Result<()> {
    let reason = wanted.reason.as_deref().unwrap_or_default();
    if reason.len() > LONGEST_REASON {
        return Err(Error::Invalid(format!(
            "the reason has {} bytes: at most {LONGEST_REASON} are kept",
            reason.len()
        )));
    }
    if let Some(c) = reason.chars().find(|c| c.is_control()) {
        return Err(Error::Invalid(format!(
            "the reason has the control character {}: give it in one line",
            c.escape_default()
        )));
    }
    match wanted.until.filter(|until| *until <= now) {
        Some(until) => Err(Error::Invalid(format!(
            "the pin would have expired already: `until` is {until}"
        ))),
        None => Ok(()),
    }
}

/// Fails if a pin keeps the backup. A note that is broken keeps nothing: the deletion was asked for
/// by name.
pub(crate) async fn check_not_pinned(repository: &Repository, id: &BackupId) -> Result<()> {
    let note = match repository.note(id).await {
        Ok(note) => note.unwrap_or_default(),
        Err(error) if error.storage_fault().is_some() => return Err(repository.named(error)),
        Err(error) => {
            tracing::warn!(%error, "a note can't be read");
            return Ok(());
        }
    };
    match live(&note) {
        Some(pin) => Err(Error::Pinned {
            id: id.to_string(),
            detail: described(&pin),
        }),
        None => Ok(()),
    }
}

/// Locks the notes of these targets, in this order, unless a pin keeps the backup. As long as the
/// locks are held, nobody can pin it: what a pin has answered stays true.
///
/// # Errors
/// [`Error::Pinned`], and where the notes can't be locked.
pub(crate) async fn lock_unpinned(
    parts: &[&Repository],
    id: &BackupId,
) -> Result<Vec<Box<dyn LockGuard>>> {
    let mut locks: Vec<Box<dyn LockGuard>> = Vec::new();
    let locked = async {
        for part in parts {
            match part.lock_notes().await {
                Ok(lock) => locks.push(lock),
                // On a full disk there is no room for a lock, and none for a pin.
                Err(error) if is_full(&error) => {}
                Err(error) => return Err(part.named(error)),
            }
            check_not_pinned(part, id).await?;
        }
        Ok(())
    };
    let locked: Result<()> = locked.await;
    if let Err(error) = locked {
        release(locks).await;
        return Err(error);
    }
    Ok(locks)
}

/// Gives the locks of notes back.
pub(crate) async fn release(locks: Vec<Box<dyn LockGuard>>) {
    for lock in locks {
        if let Err(error) = lock.release().await {
            tracing::warn!(%error, "cannot release the lock of the notes");
        }
    }
}

fn is_full(error: &Error) -> bool {
    error.storage_fault().map(CoreError::kind) == Some(ErrorKind::NoSpace)
}

/// The pin of a backup that is in force.
pub(crate) fn live(note: &Note) -> Option<Pin> {
    let now = Timestamp::now();
    let pin = note.pin.as_ref();
    pin.filter(|pin| is_in_force(pin, now)).cloned()
}

/// The moment in whole seconds.
fn in_seconds(moment: Timestamp) -> Timestamp {
    moment.round(jiff::Unit::Second).unwrap_or(moment)
}

/// Who pinned it, until when, and why, to be put behind “it is pinned”.
pub(crate) fn described(pin: &Pin) -> String {
    let mut text = String::new();
    if !pin.by.is_empty() {
        text.push_str(&format!(" by {}", pin.by));
    }
    if let Some(until) = &pin.until {
        text.push_str(&format!(" until {until}"));
    }
    if let Some(reason) = &pin.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}
