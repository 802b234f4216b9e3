//! `prune`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::exit_code::DONE;
use super::figures;
use super::operation::{Answer, run_and_print};
use super::output::{print_line, print_note};
use super::retention_arguments::PruneArguments;
use super::signals::Signals;
use super::table::{Table, left, right};
use crate::Result;
use crate::api::types;
use crate::operations::{ArcBackup, PrunePlan, Request};
use crate::schedule::pending_copies;

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: PruneArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let mut options = arguments.options();
    options.to_copy = pending_copies(engine).await;
    if arguments.confirm {
        let request = Request::Prune(options).within(arguments.timeout.unwrap_or_default());
        let answer = Answer::json_or_nothing(json);
        return run_and_print(engine, request, arguments.busy, answer, signals).await;
    }
    let plan = signals.or_interrupted(engine.plan_prune(&options)).await?;
    match json {
        true => print_line(&types::PrunePlan::from(plan).to_json_string()),
        false => print(&plan),
    }
    Ok(DONE)
}

fn print(plan: &PrunePlan) {
    let mut table = Table::new([
        left("BACKUP"),
        right("AGE"),
        left("STATE").or_drop(1),
        left("PLAN"),
        right("FREES"),
        left("REASONS").or_shrink(),
    ]);
    for one in &plan.backups {
        let created = one.created_at.map_or_else(String::new, |at| at.to_string());
        table.row([
            one.backup_id.clone(),
            figures::age(&created, plan.made_at),
            one.state.as_str().to_owned(),
            if one.keep { "keep" } else { "delete" }.to_owned(),
            one.freed_bytes.map_or_else(String::new, figures::size),
            one.reasons.join(", "),
        ]);
    }
    if !table.is_empty() {
        table.print();
    }
    for warning in &plan.warnings {
        print_note!("warning: {warning}");
    }
    let (count, files, bytes) = plan.totals();
    if count == 0 {
        print_line(&format!("nothing to delete in target {}", plan.target));
        return;
    }
    print_line(&format!(
        "to delete in target {}: {count} of {} backups, {}{files} files, {}",
        plan.target,
        plan.backups.len(),
        if plan.is_counted() { "" } else { "at least " },
        figures::size(bytes)
    ));
    print_line("nothing was deleted; use --confirm to delete them");
}
