//! `restore`.

use std::sync::Arc;
use std::time::Duration;

use super::arguments::RestoreArguments;
use super::common::{confirm, operate, or_interrupted, recorded, who};
use super::ids::{Named, resolve};
use super::output::complain;
use super::output::is_quiet;
use super::restore_preview;
use super::signals::Signals;
use crate::operations::OperationKind;
use crate::operations::{ArcBackup, Request, RestoreOptions};
use crate::{Error, Result};

/// How long a restore is looked at before it begins.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(5);
/// How long before somebody is asked about it.
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
    let options = RestoreOptions {
        data: !arguments.no_data,
        metadata: !arguments.no_metadata,
        config: arguments.with_config,
        extra_files: arguments.extra_files,
        allow_incomplete: arguments.allow_incomplete,
        verify_first: arguments.verify_first,
        into_other_instance: arguments.into_other_instance,
        skip_damaged: arguments.skip_damaged,
    };
    if !(options.data || options.metadata || options.config) {
        return Err(Error::Invalid("nothing is left to restore".to_owned()));
    }
    // Before the question: there is nothing to confirm for a backup that does not exist.
    let checked = engine.check_restore(&id, &options, target.as_deref());
    if let Err(error) = or_interrupted(signals, checked).await {
        let request = Request::Restore(id, options, target);
        engine.record_failure(&request, &who(), &error).await;
        return Err(error);
    }
    // With `--json` and `--yes`, the document of the operation says it.
    if !((json || is_quiet()) && arguments.yes) && engine.busy().is_none() {
        let limit = match arguments.yes {
            true => PREVIEW_TIMEOUT,
            false => QUESTION_TIMEOUT,
        };
        let preview = engine.preview_restore(&id, &options, target.as_deref(), limit);
        match or_interrupted(signals, preview).await {
            Ok(preview) => restore_preview::show(&preview),
            Err(error) if error.is_cancelled() => return Err(error),
            // The restore itself says what is wrong, and may do without.
            Err(error) => complain!("warning: the changes it would make are not known: {error}"),
        }
    }
    let question = format!("Restore {id} over the live data?");
    confirm(arguments.yes, question, signals).await?;
    operate(
        engine,
        Request::Restore(id, options, target).within(arguments.timeout.unwrap_or_default()),
        arguments.busy,
        json,
        false,
        signals,
    )
    .await
}
