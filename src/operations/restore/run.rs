//! The steps of a restore.
//!
//! Everything is checked, and every file that will change is staged and verified, before the first
//! live byte changes. From then on a restore marker in the state folder and beside the data says
//! so, and running the same restore again completes it.

use std::time::Duration;

use arc_backup_core::{ErrorKind, RestoreSummary, Section};

use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::restore::arc_idle::RunningArc;
use crate::operations::restore::damaged;
use crate::operations::restore::half_way;
use crate::operations::restore::marker::RestoreMarker;
use crate::operations::restore::options::RestoreOptions;
use crate::operations::restore::prepare::prepare;
use crate::operations::restore::record;
use crate::operations::restore::restored_section::{RestoredSection, copy_needed, names_of};
use crate::operations::{Phase, ProblemKind, Running};
use crate::{Error, Result};

const COPYING_FAILED: &str = "the backup could not be read or written, and a part of it is live";
/// How often a restore that changes live data reports how many files it has set aside.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// What a restore has done, once all that could be restored is in force.
#[derive(Default)]
pub(crate) struct RestoreOutcome {
    summary: RestoreSummary,
    /// Whether Arc must be restarted to see all of it.
    restart_required: bool,
    /// Why it failed all the same: damaged files of the backup were omitted on request.
    error: Option<Error>,
}

impl RestoreOutcome {
    /// Reports it to the status.
    ///
    /// # Errors
    /// Where damaged files of the backup were omitted.
    pub(crate) fn report(self, running: &Running) -> Result<()> {
        self.report_figures(running);
        running.update(|operation| operation.restart_required = Some(self.restart_required));
        self.error.map_or(Ok(()), Err)
    }

    fn report_figures(&self, running: &Running) {
        let summary = &self.summary;
        running.update(|operation| {
            operation.kept.clone_from(&summary.kept);
            operation.unchanged_files = Some(summary.unchanged_files);
            operation.cold_files_skipped_already_cold =
                Some(summary.cold_files_skipped_already_cold).filter(|count| *count > 0);
            operation.set_aside_files = Some(summary.set_aside_files);
            operation
                .set_aside_location
                .clone_from(&summary.set_aside_location);
            operation.appeared_files =
                Some(summary.appeared_files).filter(|appeared| *appeared > 0);
        });
    }

    /// Adds the figures of one section.
    fn add(&mut self, context: &Context, problems: &mut Problems, part: RestoreSummary) {
        for (path, detail) in &part.problems {
            problems.add(path.as_str(), ProblemKind::Unexpected, detail.as_str());
        }
        for warning in part.warnings {
            context.warn(warning);
        }
        let all = &mut self.summary;
        all.kept.extend(part.kept);
        all.unchanged_files += part.unchanged_files;
        all.cold_files_skipped_already_cold += part.cold_files_skipped_already_cold;
        all.set_aside_files += part.set_aside_files;
        all.appeared_files += part.appeared_files;
        if part.set_aside_location.is_some() {
            all.set_aside_location = part.set_aside_location;
        }
    }
}

/// Restores a backup.
pub(crate) async fn run(context: &Context, options: &RestoreOptions) -> Result<RestoreOutcome> {
    let marker = RestoreMarker::new(context, options).await;
    let mut parts = Vec::new();
    let mut problems = Problems::new(&context.running);
    let prepared = context.or_cancelled(prepare(
        context,
        &mut problems,
        options,
        &marker,
        &mut parts,
    ));
    let prepared = prepared.await;
    let (inventory, arc) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            context.running.phase(Phase::CleaningUp);
            let left = abort_all(&problems, options, &parts, &marker, &error).await;
            record::remove(context);
            if let Some(new) = context.new_instance.as_ref().filter(|_| left == 0) {
                new.give_up();
            }
            let error = with_remedy(context, &problems, options, error).await;
            return Err(unchanged(error, marker.is_resuming(), left));
        }
    };
    // Problems of damaged files that are omitted on request.
    let known = problems.count();
    if let Err(error) = apply(context, &mut problems, &marker, &parts).await {
        return Err(with_remedy(context, &problems, options, error).await);
    }
    context.running.phase(Phase::FinalCheck);
    if let Some(arc) = &arc
        && let Err(error) = confirm_lock_and_idle(context, arc).await
    {
        half_way::report_set_aside(context, &parts);
        return Err(error.context(
            "all files are restored, but the final check did not run: run the same restore again",
        ));
    }
    let mut outcome = RestoreOutcome {
        restart_required: options.destination.is_live()
            && parts.iter().any(RestoredSection::needs_restart),
        ..RestoreOutcome::default()
    };
    // The data last: with `extra_files = remove` its last step removes the files set aside.
    for part in parts.iter().rev() {
        let summary = part.restore.finish().await?;
        outcome.add(context, &mut problems, summary);
        // Also where this is the end of it.
        outcome.report_figures(&context.running);
        problems.failure_since(
            known,
            "restored files changed before the final check (stop Arc, or wait until its compaction has ended, and run the same \
             restore again)",
        )?;
    }
    (context.running)
        .update(|operation| operation.restart_required = Some(outcome.restart_required));
    record::finish(context)?;
    marker
        .remove(parts.iter().any(RestoredSection::changes_data))
        .await?;
    if let Some(new) = &context.new_instance {
        new.finish()?;
    }
    // The live data is as good as this backup can make it, and is not all of the backup.
    outcome.error = damaged::outcome(&problems, options, &inventory).err();
    Ok(outcome)
}

/// Adds to the error of a damaged backup what can be done where there is no other backup.
async fn with_remedy(
    context: &Context,
    problems: &Problems,
    options: &RestoreOptions,
    error: Error,
) -> Error {
    let is_damaged = !problems.damaged().is_empty() && !options.skip_damaged;
    if !is_damaged || error.is_cancelled() {
        return error;
    }
    match damaged::remedy(context).await {
        Some(remedy) => error.context(remedy),
        None => error,
    }
}

/// Waits until Arc is idle, and fails where this restore must not continue: its last step may be
/// the removal of the files set aside.
async fn confirm_lock_and_idle(context: &Context, arc: &RunningArc<'_>) -> Result<()> {
    arc.settle().await?;
    context.check_cancelled()?;
    context.check_lock().await
}

/// Removes staged files, or leaves them for the next restore of the same backup and returns how
/// many these are. The marker of a restore that was interrupted while it changed live data stays:
/// only a restore that completes removes it.
async fn abort_all(
    problems: &Problems,
    options: &RestoreOptions,
    parts: &[RestoredSection],
    marker: &RestoreMarker<'_>,
    error: &Error,
) -> u64 {
    let is_of_use = marker.names_stage() && is_worth_resuming(problems, options, error);
    let (mut cleaned, mut left) = (true, 0);
    for part in parts {
        let given_up = match is_of_use && part.section == Section::Data {
            true => part.restore.leave_staged().await,
            false => part.restore.abort().await.map(|()| 0),
        };
        match given_up {
            Ok(files) => left += files,
            Err(error) => {
                cleaned = false;
                tracing::warn!(%error, section = %part.section, "the next restore removes the staged files");
            }
        }
    }
    // Staged files of an earlier run are known by the marker alone: they were not listed yet, or
    // are still of use.
    let has_data = parts.iter().any(|part| part.section == Section::Data);
    let keeps_earlier = marker.resumes_staging() && (is_of_use || !has_data);
    if cleaned
        && left == 0
        && !keeps_earlier
        && !marker.is_resuming()
        && let Err(error) = marker.remove_own().await
    {
        tracing::warn!(%error, "the restore marker of a restore that changed nothing stays until the next operation");
    }
    left
}

/// Whether the same restore may get further with the staged files: not where the backup is damaged,
/// the disk is full, or a write failed.
fn is_worth_resuming(problems: &Problems, options: &RestoreOptions, error: &Error) -> bool {
    let is_of_disk = matches!(
        error,
        Error::Storage(error) if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Cancelled)
    );
    // On request, damaged files are omitted.
    let is_whole = options.skip_damaged || problems.is_empty();
    is_whole && !is_of_disk
}

/// The error of a restore that ended before its first change, which says so.
fn unchanged(error: Error, is_resuming: bool, left: u64) -> Error {
    let what = match is_resuming {
        false => "nothing was changed",
        true => "nothing more was changed",
    };
    let what = match left {
        0 => what.to_owned(),
        _ => format!("{what}; staged files ({left}) are used by the next restore of this backup"),
    };
    error.context(what)
}

/// Replaces live files by the staged ones, section by section.
async fn apply(
    context: &Context,
    problems: &mut Problems,
    marker: &RestoreMarker<'_>,
    parts: &[RestoredSection],
) -> Result<()> {
    context.running.phase(Phase::Applying);
    let sections = names_of(parts.iter().map(|part| &part.section));
    for (done, part) in parts.iter().enumerate() {
        let applied = async {
            if part.restore.changes_while_staging() {
                copy_needed(context, problems, part, COPYING_FAILED).await?;
            }
            part.restore.apply().await.map_err(Error::from)
        };
        // Said before it is so, since the restore may be aborted: from then on Arc's memory is
        // stale.
        if part.needs_restart() && context.new_instance.is_none() {
            context
                .running
                .update(|operation| operation.restart_required = Some(true));
        }
        let report = async {
            loop {
                tokio::time::sleep(REPORT_INTERVAL).await;
                half_way::report_set_aside(context, std::slice::from_ref(part));
            }
        };
        let applied = tokio::select! {
            biased;
            applied = applied => applied,
            () = report => unreachable!("it never ends"),
        };
        match &applied {
            Err(_) => half_way::report_set_aside(context, std::slice::from_ref(part)),
            // The final figures, at the end, are those of all sections together.
            Ok(()) => context.running.update(|operation| {
                operation.set_aside_files = None;
                operation.set_aside_location = None;
            }),
        }
        applied.map_err(|error| {
            let error = context.running.cause_of(error);
            error.context(half_way::text(context, marker, parts))
        })?;
        marker.done(&sections, &sections[..=done]).await;
    }
    Ok(())
}
