//! `delete`.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem_openapi::types::ToJSON;
use serde_json::json;

use super::arguments::DeleteArguments;
use super::common::{confirm, operate, or_interrupted, pretty, recorded, run_operation};
use super::ids::{LATEST, resolve};
use super::output::{complain, line};
use super::signals::Signals;
use super::summary;
use super::{DONE, FAILED, exit_code};
use crate::manifest::BackupId;
use crate::operations::OperationKind;
use crate::operations::{ArcBackup, Request};
use crate::{Error, Result};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: DeleteArguments,
    json: bool,
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
        [(id, target)] => {
            let place =
                (target.as_ref()).map_or_else(String::new, |name| format!(" in target {name}"));
            format!("Delete backup {id}{place}?")
        }
        several => {
            let ids: Vec<_> = several.iter().map(|(id, _)| id.as_str()).collect();
            format!("Delete {} backups ({})?", ids.len(), ids.join(", "))
        }
    };
    if !arguments.even_last {
        let left_without = or_interrupted(signals, left_without_good(engine, &named)).await?;
        if !left_without.is_empty() {
            let place = left_without.join(", ");
            if arguments.yes {
                return Err(Error::Invalid(format!(
                    "this would leave no good backup in target {place}, so nothing was deleted; --even-last deletes it all the same"
                )));
            }
            question = format!("This leaves no good backup in target {place}. {question}");
        }
    }
    confirm(arguments.yes, question, signals).await?;
    if let [(id, target)] = &named[..] {
        let request = Request::Delete(id.clone(), target.clone())
            .within(arguments.timeout.unwrap_or_default());
        return operate(engine, request, arguments.busy, json, false, signals).await;
    }
    delete_all(engine, named, &arguments, json, signals).await
}

/// One by one; the first that fails ends it.
async fn delete_all(
    engine: &Arc<ArcBackup>,
    named: Vec<(BackupId, Option<String>)>,
    arguments: &DeleteArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let mut ended = Vec::new();
    let (mut code, mut fault) = (DONE, None);
    for (id, target) in named {
        let request = Request::Delete(id, target).within(arguments.timeout.unwrap_or_default());
        match run_operation(engine, request, arguments.busy, signals).await {
            Ok(operation) => {
                if !json {
                    summary::print(&operation);
                }
                if operation.error.is_some() {
                    code = FAILED;
                }
                ended.push(operation);
            }
            Err(error) => {
                code = exit_code(&error);
                complain!("error: {error}");
                fault = Some(error.to_string());
            }
        }
        if code != DONE {
            break;
        }
    }
    if json {
        let rows: Vec<_> = ended.iter().filter_map(ToJSON::to_json).collect();
        let mut document = json!({"count": rows.len(), "operations": rows});
        if let Some(fault) = fault {
            document["error"] = fault.into();
        }
        line(&pretty(&document));
    }
    Ok(code)
}

/// The backups that are meant, all found before the first is deleted.
async fn named(
    engine: &Arc<ArcBackup>,
    arguments: &DeleteArguments,
) -> Result<Vec<(BackupId, Option<String>)>> {
    if arguments.ids.iter().any(|id| id == LATEST) {
        return Err(Error::Invalid(
            "`latest` may be another backup a moment later: name the ids that are to be deleted"
                .to_owned(),
        ));
    }
    let mut named = Vec::new();
    for text in &arguments.ids {
        let mut one = resolve(engine, text, arguments.target.as_deref()).await?;
        // With one id, the deletion itself finds it.
        if arguments.ids.len() > 1 || !arguments.even_last {
            let found = engine.locate_anything(&one.id, one.target.as_deref());
            one.target = Some(found.await?.name().to_owned());
        }
        let one = (one.id, one.target);
        if !named.contains(&one) {
            named.push(one);
        }
    }
    Ok(named)
}

/// The targets that have a good backup now, and would have none without these.
async fn left_without_good(
    engine: &Arc<ArcBackup>,
    named: &[(BackupId, Option<String>)],
) -> Result<Vec<String>> {
    let mut by_target: BTreeMap<&str, Vec<&BackupId>> = BTreeMap::new();
    for (id, target) in named {
        by_target
            .entry(target.as_deref().unwrap_or_default())
            .or_default()
            .push(id);
    }
    let mut without = Vec::new();
    for (target, ids) in by_target {
        let good = engine.good_backups(target).await?;
        let goes = |one: &BackupId| ids.contains(&one);
        if !good.is_empty() && good.iter().all(goes) {
            without.push(target.to_owned());
        }
    }
    Ok(without)
}
