//! `undo`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::confirmation::confirm;
use super::exit_code::{DONE, FAILED};
use super::figures;
use super::operation::{Answer, run_and_print};
use super::output::{print_line, print_stderr};
use super::signals::Signals;
use super::undo_arguments::UndoArguments;
use crate::Result;
use crate::api::types;
use crate::operations::{ArcBackup, Request, UndoPlan};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: UndoArguments,
    as_json: bool,
    signals: &Signals,
) -> Result<u8> {
    let operation = arguments.operation.as_str();
    if arguments.dry_run {
        let plan = signals.or_interrupted(engine.plan_undo(operation)).await?;
        match as_json {
            true => print_line(&types::UndoPlan::from(plan.clone()).to_json_string()),
            false => lines(&plan).iter().for_each(|line| print_line(line)),
        }
        return Ok(match plan.refused_files {
            0 => DONE,
            _ => FAILED,
        });
    }
    // Before the question: there is nothing to confirm where it can't be taken back.
    let undo = signals.or_interrupted(engine.find_undo(operation)).await?;
    if !arguments.yes {
        let plan = signals.or_interrupted(engine.plan_undo(operation)).await?;
        for line in lines(&plan) {
            print_stderr!("{line}");
        }
        if plan.refused_files > 0 {
            return Ok(FAILED);
        }
    }
    let question = format!("Take operation {operation} back, over the live data?");
    confirm(arguments.yes, question, signals).await?;
    let request = Request::Undo(undo).within(arguments.timeout.unwrap_or_default());
    let answer = Answer::json_or_nothing(as_json);
    run_and_print(engine, request, arguments.busy, answer, signals).await
}

fn lines(plan: &UndoPlan) -> Vec<String> {
    let mut lines = vec![
        format!(
            "Undo of operation {}, which restored {}",
            plan.operation_id, plan.backup_id
        ),
        format!(
            "  returns       {} data files, {}",
            plan.returned_files,
            figures::size(plan.returned_bytes)
        ),
        format!(
            "  set aside     {} data files that only the restore brought, and those in whose places files return",
            plan.removed_files
        ),
        format!("  as before     {} data files", plan.unchanged_files),
    ];
    let returned = plan.returned.iter().map(|path| ("returns", path));
    let removed = plan.removed.iter().map(|path| ("set aside", path));
    lines.extend(
        returned
            .chain(removed)
            .map(|(what, path)| format!("  {what:<13} {path}")),
    );
    for (path, reason) in &plan.refused {
        lines.push(format!("  in the way    {path}: {reason}"));
    }
    if plan.refused_files > 0 {
        lines.push(format!(
            "it can't be taken back: {} files are in the way; restore a backup from before it",
            plan.refused_files
        ));
    } else if plan.restart_required {
        lines.push(
            "  afterwards    restart Arc: it keeps tokens and configuration in memory".to_owned(),
        );
    }
    lines
}
