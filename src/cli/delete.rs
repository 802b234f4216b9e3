//! `delete`.

use std::io::IsTerminal;
use std::sync::Arc;

use super::arguments::DeleteArguments;
use super::confirmation::confirm;
use super::exit_code::{DONE, FAILED, for_error};
use super::ids::{LATEST, resolve};
use super::operation::{self, Answer, recorded, run_and_print};
use super::output::{print_line, print_stderr};
use super::signals::Signals;
use super::{figures, json, summary};
use crate::manifest::BackupId;
use crate::operations::{ArcBackup, LastGood, OperationKind, Request, would_be_last};
use crate::repository::Freed;
use crate::{Error, Result};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: DeleteArguments,
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let found = named(engine, &arguments);
    let named = recorded(
        engine,
        OperationKind::Delete,
        arguments.target.as_deref(),
        signals,
        found,
    )
    .await?;
    let mut question = match &named[..] {
        [one] => format!("Delete backup {}{}?", one.id, one.place()),
        several => {
            let ids: Vec<_> = several.iter().map(|one| one.id.as_str()).collect();
            format!("Delete {} backups ({})?", ids.len(), ids.join(", "))
        }
    };
    let mut last_good = match arguments.even_last {
        true => LastGood::Delete,
        false => LastGood::Keep,
    };
    if last_good == LastGood::Keep {
        let looked = left_without_good(engine, &named);
        let left_without = signals.or_interrupted(looked).await?;
        if !left_without.is_empty() {
            // What a dry run says is what a deletion does.
            if arguments.yes || arguments.dry_run {
                return Err(would_be_last(&left_without));
            }
            let place = left_without.join(", ");
            question =
                format!("Target {place} holds no good backup of all databases then. {question}");
            last_good = LastGood::Delete;
        }
    }
    if arguments.dry_run {
        return dry_run(engine, &named, as_json, signals).await;
    }
    if !arguments.yes && std::io::stdin().is_terminal() {
        let estimate = signals.or_interrupted(estimate(engine, &named)).await;
        match estimate {
            Ok(freed) => question = format!("This frees {}. {question}", figures_of(&freed)),
            // The deletion says so itself, or works all the same: on a full disk.
            Err(error) => print_stderr!("warning: cannot work out what this frees: {error}"),
        }
    }
    confirm(arguments.yes, question, signals).await?;
    if let [one] = &named[..] {
        let request = Request::Delete(one.id.clone(), one.target.clone(), last_good)
            .within(arguments.timeout.unwrap_or_default());
        let answer = Answer::json_or_nothing(as_json);
        return run_and_print(engine, request, arguments.busy, answer, signals).await;
    }
    delete_all(engine, named, last_good, &arguments, as_json, signals).await
}

async fn estimate(engine: &ArcBackup, named: &[ToDelete]) -> Result<Freed> {
    let named: Vec<_> = (named.iter())
        .map(|one| (one.id.clone(), one.target.clone()))
        .collect();
    engine.estimate_deletions(&named).await
}

/// Prints what a deletion frees.
async fn dry_run(
    engine: &ArcBackup,
    named: &[ToDelete],
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let freed = signals.or_interrupted(estimate(engine, named)).await?;
    let ids: Vec<_> = named.iter().map(|one| one.id.as_str()).collect();
    if as_json {
        print_line(&json::pretty(&serde_json::json!({
            "dry_run": true,
            "backup_ids": ids,
            "freed_files": freed.freed_files,
            "freed_bytes": freed.freed_bytes,
            "retained_files": freed.retained_files,
            "retained_bytes": freed.retained_bytes,
            "needed_by": freed.needed_by,
        })));
        return Ok(DONE);
    }
    print_line(&format!("would free {}", figures_of(&freed)));
    if !freed.needed_by.is_empty() {
        let needed_by: Vec<_> = freed.needed_by.iter().map(String::as_str).collect();
        print_line(&format!("needed by: {}", needed_by.join(", ")));
    }
    print_line("nothing was deleted");
    Ok(DONE)
}

fn figures_of(freed: &Freed) -> String {
    figures::freed(
        [freed.freed_files, freed.freed_bytes],
        [freed.retained_files, freed.retained_bytes],
    )
}

/// A backup to delete.
#[derive(Debug, PartialEq, Eq)]
struct ToDelete {
    id: BackupId,
    /// The target; `None` where it is found by the deletion, or has legs in several.
    target: Option<String>,
    /// All targets that hold it, as far as they are known.
    targets: Vec<String>,
}

impl ToDelete {
    fn place(&self) -> String {
        match &self.targets[..] {
            [] => String::new(),
            [one] => format!(" in target {one}"),
            several => format!(" in the targets {}", several.join(", ")),
        }
    }
}

/// Deletes one after the other; ends at the first that fails.
async fn delete_all(
    engine: &Arc<ArcBackup>,
    named: Vec<ToDelete>,
    last_good: LastGood,
    arguments: &DeleteArguments,
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let mut ended = Vec::new();
    let (mut code, mut fault) = (DONE, None);
    for ToDelete { id, target, .. } in named {
        let request =
            Request::Delete(id, target, last_good).within(arguments.timeout.unwrap_or_default());
        match operation::run(engine, request, arguments.busy, signals).await {
            Ok(operation) => {
                if !as_json {
                    summary::print(&operation);
                }
                if operation.error.is_some() {
                    code = FAILED;
                }
                ended.push(operation);
            }
            Err(error) => {
                code = for_error(&error);
                print_stderr!("error: {error}");
                fault = Some(error.to_string());
            }
        }
        if code != DONE {
            break;
        }
    }
    if as_json {
        let mut document = json::operations(ended);
        if let Some(fault) = fault {
            document["error"] = fault.into();
        }
        print_line(&json::pretty(&document));
    }
    Ok(code)
}

/// The backups to delete, all found, and known not to be pinned, before the first is deleted.
async fn named(engine: &Arc<ArcBackup>, arguments: &DeleteArguments) -> Result<Vec<ToDelete>> {
    if arguments.ids.iter().any(|id| id == LATEST) {
        return Err(Error::Invalid(
            "`latest` may be another backup a moment later: give the ids to delete".to_owned(),
        ));
    }
    let mut named = Vec::new();
    for text in &arguments.ids {
        let one = resolve(engine, text, arguments.target.as_deref()).await?;
        let mut one = ToDelete {
            targets: one.target.iter().cloned().collect(),
            id: one.id,
            target: one.target,
        };
        // With one id, the deletion itself finds it.
        if arguments.ids.len() > 1 || !arguments.even_last || arguments.dry_run {
            let found = engine
                .locate_to_delete(&one.id, one.target.as_deref())
                .await?;
            one.targets = (found.parts().iter())
                .map(|part| part.name().to_owned())
                .collect();
            one.target = (found.legs().is_empty()).then(|| found.name().to_owned());
        }
        if !named.contains(&one) {
            named.push(one);
        }
    }
    Ok(named)
}

/// The targets that hold a good backup now, and none without these.
async fn left_without_good(engine: &Arc<ArcBackup>, named: &[ToDelete]) -> Result<Vec<String>> {
    let named: Vec<_> = (named.iter())
        .map(|one| (&one.id, &one.targets[..]))
        .collect();
    engine.left_without_good(&named).await
}
