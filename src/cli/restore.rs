//! `restore`.

use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::Scope;
use poem_openapi::types::ToJSON;

use super::actor::who;
use super::confirmation::confirm;
use super::exit_code::DONE;
use super::ids::{Named, resolve};
use super::operation::{Answer, recorded, run_and_print};
use super::output::{is_quiet, print_line, print_stderr};
use super::restore_arguments::RestoreArguments;
use super::restore_report;
use super::signals::Signals;
use crate::api::types;
use crate::operations::{
    ArcBackup, DataSelection, Destination, OperationKind, Renames, Request, RestoreOptions,
    Sections,
};
use crate::{Error, Result};

/// Timeout for the preview.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for the preview where a question follows.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: RestoreArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let found = resolve(engine, &arguments.id, arguments.target.as_deref());
    let target = arguments.target.as_deref();
    let Named { id, target } =
        recorded(engine, OperationKind::Restore, target, signals, found).await?;
    let selection = DataSelection::from(arguments.selection);
    let sections = Sections {
        data: !arguments.no_data,
        // A part of the data leaves them as they are.
        metadata: match selection.is_all() {
            true => !arguments.no_metadata && arguments.to_storage.is_none(),
            false => arguments.with_metadata,
        },
        config: arguments.with_config,
    };
    let options = RestoreOptions {
        scope: selection.to_scope(Scope::from(sections))?,
        extra_files: arguments.extra_files.into(),
        allow_incomplete: arguments.allow_incomplete,
        verify_first: arguments.verify_first,
        into_other_instance: arguments.into_other_instance,
        skip_damaged: arguments.skip_damaged,
        rename: Renames::new(arguments.rename)?,
        over_existing: arguments.over_existing,
        destination: match (arguments.to, arguments.to_storage) {
            (Some(folder), _) => Destination::Folder(folder),
            (None, Some(name)) => Destination::Storage(name),
            (None, None) => Destination::Live,
        },
        plan_id: arguments.plan,
        ..RestoreOptions::default()
    };
    if !options.includes_any() {
        return Err(Error::Invalid(
            "nothing to restore: data, metadata and configuration are all omitted".to_owned(),
        ));
    }
    if arguments.dry_run {
        let planned = engine.plan_restore(&id, &options, target.as_deref());
        let planned = signals.or_interrupted(planned).await?;
        match json {
            true => print_line(&types::RestorePreview::from(planned).to_json_string()),
            false => restore_report::print_plan(&planned),
        }
        return Ok(DONE);
    }
    // Before the question: there is nothing to confirm if the backup does not exist.
    let checked = engine.check_restore(&id, &options, target.as_deref());
    if let Err(error) = signals.or_interrupted(checked).await {
        let request = Request::Restore(id, options, target);
        engine.record_failure(&request, &who(), &error).await;
        return Err(error);
    }
    // With `--json` and `--yes`, the document of the operation has the plan.
    let asks = options.overwrites() && !arguments.yes;
    if (asks || !(json || is_quiet())) && engine.busy().is_none() {
        let limit = match arguments.yes {
            true => PREVIEW_TIMEOUT,
            false => QUESTION_TIMEOUT,
        };
        let preview = engine.preview_restore(&id, &options, target.as_deref(), limit);
        match signals.or_interrupted(preview).await {
            Ok(preview) => restore_report::print_preview(&preview),
            Err(error) if error.is_cancelled() => return Err(error),
            // The restore itself reports what is wrong, and may succeed.
            Err(error) => print_stderr!("warning: no preview of the restore: {error}"),
        }
    }
    if options.overwrites() {
        let question = format!("Restore {id} over the live data?");
        confirm(arguments.yes, question, signals).await?;
    }
    run_and_print(
        engine,
        Request::Restore(id, options, target).within(arguments.timeout.unwrap_or_default()),
        arguments.busy,
        Answer::json_or_nothing(json),
        signals,
    )
    .await
}
