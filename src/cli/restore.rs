//! `restore`.

use std::sync::Arc;

use super::arguments::RestoreArguments;
use super::common::{confirm, operate, or_interrupted, who};
use super::signals::Signals;
use crate::manifest::BackupId;
use crate::operations::{ArcBackup, Request, RestoreOptions};
use crate::{Error, Result};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: RestoreArguments,
    json: bool,
    signals: &Signals,
) -> Result<u8> {
    let id = BackupId::parse(&arguments.id)?;
    let options = RestoreOptions {
        data: !arguments.no_data,
        metadata: !arguments.no_metadata,
        config: arguments.with_config,
        extra_files: arguments.extra_files,
        allow_incomplete: arguments.allow_incomplete,
        verify_first: arguments.verify_first,
    };
    if !(options.data || options.metadata || options.config) {
        return Err(Error::Invalid("nothing is left to restore".to_owned()));
    }
    // Before the question: there is nothing to confirm for a backup that does not exist.
    let found = engine.find_to_restore(&id, arguments.target.as_deref(), options.allow_incomplete);
    if let Err(error) = or_interrupted(signals, found).await {
        let request = Request::Restore(id, options, arguments.target);
        engine.record_failure(&request, &who(), &error).await;
        return Err(error);
    }
    let question = format!("Restore {id} over the live data?");
    confirm(arguments.yes, question, signals).await?;
    operate(
        engine,
        Request::Restore(id, options, arguments.target),
        arguments.busy,
        json,
        false,
        signals,
    )
    .await
}
