//! What people have said of a backup, in its copy.

use jiff::Timestamp;

use crate::operations::context::Context;
use crate::operations::copy::source::Source;
use crate::repository::Note;

/// Carries over what people have said of the backup: its pin, labels and note. What the copy has of
/// its own stays. What verifications found is of the source.
pub(crate) async fn carry(context: &Context, source: &Source) {
    let warn = |error: crate::Error| {
        context.warn(format!("labels, pin and note are not copied: {error}"));
    };
    let said = match source.repository.note(&context.id).await {
        Ok(note) => note.unwrap_or_default(),
        Err(error) => return warn(error),
    };
    if said.pin.is_none() && said.labels.is_empty() && said.note.is_none() {
        return;
    }
    let there = match context.repository.note(&context.id).await {
        Ok(note) => note.unwrap_or_default(),
        Err(error) => return warn(error),
    };
    if joined(&there, &said) == there {
        return;
    }
    let carry = |note: &mut Note| *note = joined(note, &said);
    if let Err(error) = context.repository.update_note(&context.id, carry).await {
        warn(error);
    }
}

/// The note of the copy, with what was said of the backup in the source. Of two pins, the one that
/// holds longer counts.
fn joined(copy: &Note, said: &Note) -> Note {
    let mut joined = copy.clone();
    if end_of_pin(said) > end_of_pin(copy) {
        joined.pin.clone_from(&said.pin);
    }
    let missing = said.labels.iter().filter(|one| !copy.labels.contains(one));
    joined.labels.extend(missing.cloned());
    joined.labels.sort_unstable();
    if joined.note.is_none() {
        joined.note.clone_from(&said.note);
    }
    joined
}

/// Until when a pin holds; one whose end can't be read holds for ever.
fn end_of_pin(note: &Note) -> Option<Timestamp> {
    let until = note.pin.as_ref()?.until.as_ref();
    let end = until.map_or(Ok(Timestamp::MAX), |until| until.parse());
    Some(end.unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Pin;

    fn pinned(until: Option<&str>) -> Note {
        Note {
            pin: Some(Pin {
                until: until.map(str::to_owned),
                ..Pin::default()
            }),
            ..Note::default()
        }
    }

    /// Guards against: a copy that retention deletes although the backup is pinned, and a copy's
    /// own pin that a later copy takes away.
    #[test]
    fn a_copy_is_kept_at_least_as_long_as_it_was_said_of_either() {
        let (past, soon) = (Some("2026-01-01T00:00:00Z"), Some("2026-07-01T00:00:00Z"));
        let none = Note::default();
        for (copy, said, until) in [
            (&none, &pinned(soon), Some(soon)),
            (&pinned(past), &pinned(soon), Some(soon)),
            (&pinned(soon), &pinned(None), Some(None)),
            (&pinned(None), &pinned(soon), Some(None)),
            (&pinned(soon), &pinned(past), Some(soon)),
            (&pinned(soon), &none, Some(soon)),
            (&none, &none, None),
        ] {
            let pin = joined(copy, said).pin;
            let found = pin.as_ref().map(|pin| pin.until.as_deref());
            assert_eq!(found, until, "{copy:?} and {said:?}");
        }
    }

    /// Guards against: labels and texts of the copy that are lost.
    #[test]
    fn labels_are_joined_and_a_text_of_the_copy_stays() {
        let of = |labels: &[&str], note: Option<&str>| Note {
            labels: labels.iter().map(|one| (*one).to_owned()).collect(),
            note: note.map(str::to_owned),
            ..Note::default()
        };
        let (copy, said) = (of(&["b"], Some("here")), of(&["a", "b"], Some("there")));
        assert_eq!(joined(&copy, &said), of(&["a", "b"], Some("here")));
        assert_eq!(joined(&Note::default(), &said), said);
    }
}
