//! Asking Arc to write what it holds in memory before its files are listed.
//!
//! Without a flush a backup holds everything that was written to files: so a flush that fails is a
//! warning, and the manifest says so. Where a flush is required, its failure ends the backup.

use crate::arc::ArcProcess;
use crate::config::Settings;
use crate::operations::BackupOptions;
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::{Error, Result};

/// What a backup lacks that was made without a flush.
const NOT_FLUSHED: &str =
    "Arc was not flushed, so that rows which it holds in memory are not in this backup";
/// What to do where `backup.arc_url` is not set.
pub(crate) const SET_URL: &str = "set it to Arc's address, such as http://localhost:8000";

/// Whether a backup may be made without a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// A flush that fails is a warning.
    Wanted,
    /// A flush that fails, or an Arc whose address is not configured, ends the backup.
    Required,
}

impl Flush {
    /// Whether a backup of these options may be made without one.
    pub(crate) fn of(options: &BackupOptions) -> Self {
        match options.require_flush {
            true => Self::Required,
            false => Self::Wanted,
        }
    }
}

/// Flushes Arc's buffers where `backup.arc_url` is set. Warns where it is not and Arc is seen to
/// run. Returns whether the buffers were flushed, which is reported to the status also where that
/// ends the backup; `None` where no Arc is known.
pub(crate) async fn run(context: &Context, flush: Flush) -> Result<Option<bool>> {
    let Some(arc) = &context.arc else {
        return without_url(context, flush);
    };
    context.running.phase(Phase::Flushing);
    let answered = tokio::select! {
        answered = arc.flush() => answered,
        () = context.running.cancel.cancelled() => return Err(context.running.cancelled()),
    };
    let flushed = answered.is_ok();
    (context.running).update(|operation| operation.flushed = Some(flushed));
    match (answered, flush) {
        (Ok(()), _) => Ok(Some(true)),
        (Err(error), Flush::Required) => Err(required(&error.to_string())),
        (Err(error), Flush::Wanted) => {
            context.warn(format!("{NOT_FLUSHED}: {error}"));
            Ok(Some(false))
        }
    }
}

/// No flush, as `backup.arc_url` is not set.
fn without_url(context: &Context, flush: Flush) -> Result<Option<bool>> {
    let seen = without_flush(&context.settings);
    if flush == Flush::Required {
        let seen = seen.unwrap_or_else(|| "`backup.arc_url` is not set".to_owned());
        return Err(required(&format!("{seen}: {SET_URL}")));
    }
    if let Some(seen) = seen {
        (context.running).update(|operation| operation.flushed = Some(false));
        context.warn(format!("{NOT_FLUSHED}: {seen}; {SET_URL}"));
        return Ok(Some(false));
    }
    Ok(None)
}

/// Why Arc is not flushed although it runs on this machine; `None` where it is not seen to run.
pub(crate) fn without_flush(settings: &Settings) -> Option<String> {
    let process = ArcProcess::find(&settings.databases)?;
    Some(format!(
        "Arc runs ({process}), and `backup.arc_url` is not set"
    ))
}

fn required(reason: &str) -> Error {
    Error::Failed(format!(
        "Arc was not flushed, and `backup.require_flush` (--require-flush) requires it: {reason}"
    ))
}
