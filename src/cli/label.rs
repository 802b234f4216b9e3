//! `label`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::actor::who;
use super::arguments::LabelArguments;
use super::exit_code::DONE;
use super::ids;
use super::output::{escaped, print_line};
use super::signals::Signals;
use crate::api::types;
use crate::operations::{ArcBackup, LabelChange, NoteChange};
use crate::{Error, Result};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: LabelArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let change = LabelChange {
        set: None,
        add: arguments.add,
        remove: arguments.remove,
        note: match arguments.note {
            Some(text) => NoteChange::Set(text),
            None if arguments.no_note => NoteChange::Remove,
            None => NoteChange::Keep,
        },
    };
    if change.is_empty() {
        return Err(Error::Invalid(
            "nothing to change: give --add, --remove, --note or --no-note".to_owned(),
        ));
    }
    let target = arguments.target.as_deref();
    let found = signals.or_interrupted(ids::resolve(engine, &arguments.id, target));
    let found = found.await?;
    let (target, who) = (found.target.as_deref(), who());
    let labelled = signals.or_interrupted(engine.label(&found.id, target, &change, &who));
    let labelled = labelled.await?;
    if json {
        print_line(&types::Labelled::from(labelled).to_json_string());
        return Ok(DONE);
    }
    let labels = match &labelled.labels[..] {
        [] => "none".to_owned(),
        labels => labels.join(", "),
    };
    print_line(&escaped(&format!("labels: {labels}")));
    if let Some(note) = &labelled.note {
        for (number, line) in note.lines().enumerate() {
            let name = if number == 0 { "note:" } else { "     " };
            print_line(&escaped(&format!("{name}   {line}")));
        }
    }
    Ok(DONE)
}
