//! Whether a backup may share damaged bytes with another one.

use jiff::Timestamp;

use crate::Result;
use crate::manifest::{BackupId, Manifest};
use crate::repository::{BackupState, Note, Repository};

/// What is known of a backup whose files may be reused.
pub(crate) enum Health {
    /// It is not known to be damaged.
    Good(Box<Note>),
    /// It is known to be damaged, or may be, as its note can't be read. Its files are not reused.
    Bad,
}

/// Why files of the backups in a target may be damaged, although nothing is known of these.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    /// When the last damage was found, and in which backup.
    found: Option<(Timestamp, String)>,
}

impl Doubts {
    /// What is known in the target, of backups that are no longer there too.
    ///
    /// # Errors
    /// Where that can't be read.
    pub(crate) async fn of(repository: &Repository) -> Result<Self> {
        let damage = repository.last_damage().await?;
        let found = damage.map(|damage| {
            (
                damage.at,
                format!("backup `{}` is damaged", damage.backup_id),
            )
        });
        Ok(Self { found })
    }

    /// Looks at the note of a backup. One that is bad casts doubt on those that are looked at after
    /// it.
    ///
    /// # Errors
    /// Where the target does not answer.
    pub(crate) async fn look(&mut self, repository: &Repository, id: &BackupId) -> Result<Health> {
        let note = match repository.note(id).await {
            Ok(note) => note.unwrap_or_default(),
            Err(error) if error.is_unanswered() => return Err(error),
            Err(error) => {
                tracing::warn!(%id, %error, "the note can't be read");
                self.add(
                    Timestamp::MAX,
                    format!("the note of backup `{id}` can't be read, so it may be damaged"),
                );
                return Ok(Health::Bad);
            }
        };
        if BackupState::of(&note) != BackupState::Damaged {
            return Ok(Health::Good(Box::new(note)));
        }
        let at = note.fault().and_then(|fault| fault.at.parse().ok());
        self.add(
            at.unwrap_or(Timestamp::MAX),
            format!("backup `{id}` is damaged"),
        );
        Ok(Health::Bad)
    }

    fn add(&mut self, at: Timestamp, why: String) {
        if self.found.as_ref().is_none_or(|(last, _)| *last < at) {
            self.found = Some((at, why));
        }
    }

    /// Why the files of a good backup may be damaged all the same: damage was found in the target
    /// since the backup began, and since all of it was last read. A backup that began later has
    /// reused nothing in doubt without reading it.
    pub(crate) fn about(&self, manifest: &Manifest, note: &Note) -> Option<&str> {
        let (at, why) = self.found.as_ref()?;
        let began = match &manifest.copied_from {
            Some(copied) => &copied.at,
            None => &manifest.created_at,
        };
        let read = note.last_full.as_ref().filter(|done| done.ok);
        let is_clean = [Some(began), read.map(|done| &done.at)]
            .into_iter()
            .flatten()
            .filter_map(|moment| moment.parse::<Timestamp>().ok())
            .any(|moment| moment > *at);
        (!is_clean).then_some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::CopiedFrom;
    use crate::repository::LastVerified;

    /// Guards against: known damage that is reused unread, and files that are read again for ever.
    #[test]
    fn what_was_made_or_read_after_the_damage_is_beyond_doubt() {
        let moment = |hour: u32| format!("2026-02-11T{hour:02}:00:00Z");
        let doubts = Doubts {
            found: Some((moment(12).parse().expect("a time"), "x".to_owned())),
        };
        let of = |created: u32, copied: Option<u32>, full: Option<(u32, bool)>| {
            let manifest = Manifest {
                created_at: moment(created),
                copied_from: copied.map(|hour| CopiedFrom {
                    at: moment(hour),
                    ..CopiedFrom::default()
                }),
                ..Manifest::default()
            };
            let note = Note {
                last_full: full.map(|(hour, ok)| LastVerified {
                    at: moment(hour),
                    ok,
                    ..LastVerified::default()
                }),
                ..Note::default()
            };
            doubts.about(&manifest, &note).is_some()
        };
        // Made before and after the damage was found.
        assert!(of(11, None, None) && !of(13, None, None));
        assert!(of(10, Some(11), None) && !of(11, Some(13), None));
        // Verified since.
        assert!(!of(11, None, Some((13, true))));
        assert!(of(11, None, Some((11, true))) && of(11, None, Some((13, false))));
        let none = Doubts::default();
        assert_eq!(none.about(&Manifest::default(), &Note::default()), None);
    }
}
