//! The state of a backup.

use serde::{Deserialize, Serialize};

use super::LastVerified;
use super::notes::Note;
use crate::UnreadableState;

/// What is known of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// The last verification found nothing wrong, and no earlier fault is left to clear.
    Ok,
    /// It was never verified.
    Unverified,
    /// Its manifest is broken, or a verification found a fault that no clean full one has cleared
    /// since.
    Damaged,
    /// Its manifest lies in an archive tier.
    Archived,
    /// The right to read it is missing.
    Denied,
    /// It lacks files that could not be read: an incomplete copy, for emergencies.
    Incomplete,
}

impl BackupState {
    /// All states, in the order of their words in messages.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::Unverified,
        Self::Damaged,
        Self::Archived,
        Self::Denied,
        Self::Incomplete,
    ];

    /// The state of a backup whose manifest could be read, by its note.
    #[must_use]
    pub fn of(note: &Note) -> Self {
        if note.fault().is_some() {
            Self::Damaged
        } else if note.last_verified.is_some() {
            Self::Ok
        } else {
            Self::Unverified
        }
    }

    /// The word that JSON has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unverified => "unverified",
            Self::Damaged => "damaged",
            Self::Archived => "archived",
            Self::Denied => "denied",
            Self::Incomplete => "incomplete",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a restore of it can be expected to work.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Ok | Self::Unverified)
    }
}

impl From<UnreadableState> for BackupState {
    fn from(state: UnreadableState) -> Self {
        match state {
            UnreadableState::Archived => Self::Archived,
            UnreadableState::Denied => Self::Denied,
        }
    }
}

impl Note {
    /// Records a verification that ended.
    ///
    /// A fault stays until a full verification finds nothing wrong: a quick one or a sample may
    /// not have looked at the damaged file.
    pub(crate) fn add_verification(&mut self, done: LastVerified) {
        let is_full = done.mode == "full";
        // The note of an earlier release has no field for the fault.
        self.last_failed = match done.ok {
            true if is_full => None,
            true => self.fault().cloned(),
            false => Some(done.clone()),
        };
        if is_full {
            self.last_full = Some(done.clone());
        }
        self.last_verified = Some(done);
    }

    /// Records a rehearsal that ended. Its faults make the backup damaged. A clean one of all files
    /// clears them; what a verification found, only a verification clears.
    pub(crate) fn add_rehearsal(&mut self, done: LastVerified) {
        let fault = self.fault();
        if fault.is_none_or(|fault| fault.mode == LastVerified::REHEARSAL) {
            if !done.ok {
                self.last_failed = Some(LastVerified {
                    mode: LastVerified::REHEARSAL.to_owned(),
                    ..done.clone()
                });
            } else if done.mode == "full" {
                self.last_failed = None;
            }
        }
        self.last_rehearsed = Some(done);
    }

    /// The verification whose fault no clean full one has cleared since.
    #[must_use]
    pub fn fault(&self) -> Option<&LastVerified> {
        let noted = [&self.last_failed, &self.last_verified, &self.last_full];
        noted.into_iter().flatten().find(|done| !done.ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(mode: &str, ok: bool) -> LastVerified {
        LastVerified {
            mode: mode.to_owned(),
            ok,
            ..LastVerified::default()
        }
    }

    /// Guards against: a fault that a sample of other files, or a check of sizes, has "cleared".
    #[test]
    fn only_a_clean_full_verification_clears_a_fault() {
        use BackupState::{Damaged, Ok, Unverified};
        let cases: [(&[(&str, bool)], BackupState); 9] = [
            (&[], Unverified),
            (&[("quick", true)], Ok),
            (&[("full", false)], Damaged),
            (&[("full", false), ("quick", true)], Damaged),
            (
                &[("full", false), ("quick", true), ("sample", true)],
                Damaged,
            ),
            (&[("sample", false), ("sample", true)], Damaged),
            (&[("sample", false), ("full", true)], Ok),
            (&[("full", true), ("sample", false)], Damaged),
            (&[("quick", false), ("full", true), ("quick", true)], Ok),
        ];
        for (verifications, state) in cases {
            let mut note = Note::default();
            for (mode, ok) in verifications {
                note.add_verification(done(mode, *ok));
            }
            assert_eq!(BackupState::of(&note), state, "{verifications:?}");
            // As it comes back from the target.
            let text = serde_json::to_string(&note).expect("plain data");
            let read: Note = serde_json::from_str(&text).expect("a note");
            assert_eq!(BackupState::of(&read), state, "{text}");
        }
    }

    /// Guards against: a rehearsal whose faults stay for ever, or that clears those of a
    /// verification, or of files that it has not restored.
    #[test]
    fn a_clean_rehearsal_of_all_clears_what_rehearsals_found() {
        use BackupState::{Damaged, Ok, Unverified};
        let cases: [(&[(&str, bool)], BackupState); 7] = [
            (&[("rehearse full", true)], Unverified),
            (&[("rehearse full", false)], Damaged),
            (
                &[("rehearse full", false), ("rehearse sample", true)],
                Damaged,
            ),
            (
                &[("rehearse sample", false), ("rehearse full", true)],
                Unverified,
            ),
            (&[("rehearse full", false), ("full", true)], Ok),
            (&[("rehearse full", false), ("quick", true)], Damaged),
            (
                &[
                    ("full", false),
                    ("rehearse full", false),
                    ("rehearse full", true),
                ],
                Damaged,
            ),
        ];
        for (all, state) in cases {
            let mut note = Note::default();
            for (mode, ok) in all {
                match mode.strip_prefix("rehearse ") {
                    Some(mode) => note.add_rehearsal(done(mode, *ok)),
                    None => note.add_verification(done(mode, *ok)),
                }
            }
            assert_eq!(BackupState::of(&note), state, "{all:?}");
        }
    }

    /// Notes of earlier releases have no field for the fault.
    #[test]
    fn a_note_without_the_field_says_it_by_its_last_verifications() {
        let text = r#"{"last_verified":{"at":"","mode":"sample","ok":true,"operation_id":""},
            "last_full":{"at":"","mode":"full","ok":false,"operation_id":""}}"#;
        let mut note: Note = serde_json::from_str(text).expect("a note");
        assert_eq!(BackupState::of(&note), BackupState::Damaged);
        note.add_verification(done("sample", true));
        assert_eq!(BackupState::of(&note), BackupState::Damaged);
        note.add_verification(done("full", true));
        assert_eq!(BackupState::of(&note), BackupState::Ok);
    }
}
