//! Labels and notes of backups: what they may be, and changing them.

use std::collections::BTreeSet;

use crate::manifest::BackupId;
use crate::operations::ArcBackup;
use crate::operations::context::Context;
use crate::operations::{BackupOptions, Who};
use crate::repository::Note;
use crate::{Error, Result};

/// The most labels of a backup.
pub(crate) const MAX_LABELS: usize = 32;
/// The longest label, in characters.
pub(crate) const MAX_LABEL: usize = 64;
/// The longest note, in bytes.
pub(crate) const MAX_NOTE: usize = 4096;
/// What a label is, for people.
pub(crate) const LABEL_FORM: &str =
    "1 to 64 letters, digits and _ . : = / -, the first a letter or digit";

/// Checks a label.
///
/// # Errors
/// [`Error::Invalid`] names the label and the rule.
pub fn check_label(label: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:=/-".contains(c);
    let begins = label.starts_with(|c: char| c.is_ascii_alphanumeric());
    match begins && label.len() <= MAX_LABEL && label.chars().all(is_plain) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "{} is not a label: expected {LABEL_FORM}",
            shown(label)
        ))),
    }
}

/// Checks a note.
///
/// # Errors
/// [`Error::Invalid`] says what is wrong.
pub fn check_note(text: &str) -> Result<()> {
    if text.len() > MAX_NOTE {
        return Err(Error::Invalid(format!(
            "the note has {} bytes: at most {MAX_NOTE} are kept",
            text.len()
        )));
    }
    let is_refused = |c: &char| c.is_control() && !['\n', '\t'].contains(c);
    match text.chars().find(is_refused) {
        None => Ok(()),
        Some(c) => Err(Error::Invalid(format!(
            "the note has the control character {}: only line breaks and tabs are taken",
            c.escape_default()
        ))),
    }
}

/// The labels of a backup, sorted, each once.
///
/// # Errors
/// [`Error::Invalid`] names the label and the rule.
fn sorted(labels: impl IntoIterator<Item = String>) -> Result<Vec<String>> {
    let labels: BTreeSet<_> = labels.into_iter().collect();
    labels.iter().try_for_each(|label| check_label(label))?;
    match labels.len() {
        0..=MAX_LABELS => Ok(labels.into_iter().collect()),
        many => Err(Error::Invalid(format!(
            "{many} labels: a backup has at most {MAX_LABELS}"
        ))),
    }
}

/// A text as a message has it.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(MAX_LABEL + 1).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", start.escape_debug())
}

/// Checks the labels and the note that a new backup is to have.
///
/// # Errors
/// [`Error::Invalid`] names the label and the rule.
pub(crate) fn check(options: &BackupOptions) -> Result<()> {
    sorted(options.labels.iter().cloned())?;
    options.note.as_deref().map_or(Ok(()), check_note)
}

/// Gives the backup that was published the labels and the note that were asked for.
pub(crate) async fn keep(context: &Context, options: &BackupOptions) {
    let change = LabelChange {
        add: options.labels.clone(),
        note: match &options.note {
            Some(text) if !text.is_empty() => NoteChange::Set(text.clone()),
            _ => NoteChange::Keep,
        },
        ..LabelChange::default()
    };
    if change.is_empty() {
        return;
    }
    let kept = async {
        if let Some(lock) = &context.lock {
            lock.check().await?;
        }
        let apply = |note: &mut Note| {
            // They were checked before the backup began.
            let _ = change.apply(note);
        };
        (context.repository.update_note(&context.id, apply).await).map(|_| ())
    };
    if let Err(error) = kept.await {
        context.warn(format!(
            "the backup has no labels and no note, as they could not be stored: {error}; `arc-backup label {}` adds them",
            context.id
        ));
    }
}

/// What becomes of the labels and the note of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelChange {
    /// The labels that it has from now on; `None`: those that it has.
    pub set: Option<Vec<String>>,
    /// Labels that are added.
    pub add: Vec<String>,
    /// Labels that are removed; one that it does not have is no error.
    pub remove: Vec<String>,
    /// What becomes of the note.
    pub note: NoteChange,
}

/// What becomes of the note of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NoteChange {
    /// It stays.
    #[default]
    Keep,
    /// It is this from now on.
    Set(String),
    /// It is removed.
    Remove,
}

impl LabelChange {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<()> {
        let given = (self.set.iter().flatten()).chain(&self.add);
        sorted(given.cloned())?;
        self.remove
            .iter()
            .try_for_each(|label| check_label(label))?;
        if let Some(both) = self.add.iter().find(|label| self.remove.contains(label)) {
            return Err(Error::Invalid(format!(
                "label {} is to be added and removed",
                shown(both)
            )));
        }
        match &self.note {
            NoteChange::Set(text) => check_note(text),
            NoteChange::Keep | NoteChange::Remove => Ok(()),
        }
    }

    /// Makes the change, or none at all.
    fn apply(&self, note: &mut Note) -> Result<()> {
        let old = self.set.as_ref().unwrap_or(&note.labels).iter();
        // What somebody else has written there, and is no label, can be removed.
        let kept = old.filter(|label| !self.remove.contains(label) && check_label(label).is_ok());
        note.labels = sorted(kept.chain(&self.add).cloned())?;
        match &self.note {
            NoteChange::Keep => {}
            NoteChange::Set(text) => note.note = Some(text.clone()),
            NoteChange::Remove => note.note = None,
        }
        Ok(())
    }
}

/// The labels and the note of a backup after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The backup.
    pub backup_id: String,
    /// The targets that hold it, or a leg of it.
    pub targets: Vec<String>,
    /// Its labels, sorted.
    pub labels: Vec<String>,
    /// Its note.
    pub note: Option<String>,
}

impl ArcBackup {
    /// Changes the labels and the note of a backup, also while an operation runs. Nothing else of
    /// its note changes, whatever else is written to it at the same time.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the label and the rule. [`Error::Busy`] means that somebody else
    /// writes notes there, for long. The others are as of [`locate`](Self::locate).
    pub async fn label(
        &self,
        id: &BackupId,
        target: Option<&str>,
        change: &LabelChange,
        who: &Who,
    ) -> Result<Labelled> {
        change.check()?;
        let (repository, found) = self.locate(id, target).await?;
        let loaded = found?;
        if loaded.manifest.is_leg() && repository.legs().is_empty() {
            return Err(Error::Invalid(format!(
                "backup `{id}` is over the targets {}: label all of it, without --target (`target`)",
                loaded.manifest.run_targets.join(", ")
            )));
        }
        let mut refused = None;
        let apply = |note: &mut Note| {
            if let Err(error) = change.apply(note) {
                refused = Some(error);
            }
        };
        let note = repository.update_note(id, apply).await;
        let note = note.map_err(|error| repository.named(error))?;
        if let Some(error) = refused {
            return Err(error);
        }
        tracing::info!(backup = %id, actor = who.actor, labels = ?note.labels, "labels changed");
        Ok(Labelled {
            backup_id: id.to_string(),
            targets: (repository.parts().iter())
                .map(|part| part.name().to_owned())
                .collect(),
            labels: note.labels,
            note: note.note,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[&str]) -> Vec<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    /// Guards against: a label that a shell, a URL or a terminal takes for something else.
    #[test]
    fn a_label_has_plain_characters() {
        let long = "a".repeat(MAX_LABEL);
        for label in ["a", "9", "env=prod", "team/a:b_c.d-e", "A.1", &long] {
            assert!(check_label(label).is_ok(), "{label}");
        }
        let too_long = "a".repeat(MAX_LABEL + 1);
        for label in [
            "",
            " ",
            "-a",
            "=a",
            "a b",
            "a,b",
            "ä",
            "a\n",
            "a\u{1b}[31m",
            &too_long,
        ] {
            let error = check_label(label).expect_err(label).to_string();
            assert!(error.contains("is not a label"), "{error}");
            assert!(!error.contains(char::is_control), "{error:?}");
        }
        let many: Vec<_> = (0..=MAX_LABELS).map(|n| format!("l{n}")).collect();
        assert!(sorted(many.clone()).is_err());
        assert!(sorted(many.into_iter().skip(1)).is_ok());
    }

    /// Guards against: a note that clears the screen of whoever reads it.
    #[test]
    fn a_note_is_a_text() {
        for text in ["", "before the upgrade\n\t- of Arc", "ünïcode …"] {
            assert!(check_note(text).is_ok(), "{text:?}");
        }
        for text in [
            "\u{1b}[2J",
            "\u{0}",
            "\r",
            "\u{9b}1m",
            &"a".repeat(MAX_NOTE + 1),
        ] {
            assert!(check_note(text).is_err(), "{text:?}");
        }
    }

    /// Guards against: a label that is lost, or comes back.
    #[test]
    fn a_change_is_all_or_nothing() {
        let mut note = Note {
            labels: labels(&["b", "c"]),
            note: Some("old".to_owned()),
            ..Note::default()
        };
        let change = LabelChange {
            add: labels(&["a", "b"]),
            remove: labels(&["c", "x"]),
            note: NoteChange::Remove,
            ..LabelChange::default()
        };
        change.check().expect("right");
        change.apply(&mut note).expect("right");
        assert_eq!((&note.labels, &note.note), (&labels(&["a", "b"]), &None));
        let set = LabelChange {
            set: Some(labels(&["z"])),
            note: NoteChange::Set("new".to_owned()),
            ..LabelChange::default()
        };
        set.apply(&mut note).expect("right");
        assert_eq!(
            (&*note.labels, note.note.as_deref()),
            (&*labels(&["z"]), Some("new"))
        );
        let many = LabelChange {
            add: (0..MAX_LABELS).map(|n| format!("l{n}")).collect(),
            ..LabelChange::default()
        };
        many.check().expect("that many are right");
        assert!(many.apply(&mut note).is_err());
        assert_eq!(note.labels, labels(&["z"]));
        let both = LabelChange {
            add: labels(&["a"]),
            remove: labels(&["a"]),
            ..LabelChange::default()
        };
        assert!(both.check().is_err());
    }
}
