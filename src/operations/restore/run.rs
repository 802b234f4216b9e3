//! The steps of a restore.
//!
//! Everything is checked, and every file that will change is staged and verified, before the first
//! live byte changes. From then on a restore marker in the state folder and beside the data says so,
//! and running the same restore again completes it.

use std::time::Duration;

use arc_backup_core::{ErrorKind, RestoreSummary};

use crate::manifest::Inventory;
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::restore::arc_idle::RunningArc;
use crate::operations::restore::damaged;
use crate::operations::restore::marker::Mark;
use crate::operations::restore::options::{ExtraFilesPolicy, RestoreOptions};
use crate::operations::restore::staging::{COPYING_FAILED, Part, copy_part, discard_staged, stage};
use crate::operations::verify::completeness::Then;
use crate::operations::verify::load::load;
use crate::operations::{ProblemKind, Running};
use crate::repository::Loaded;
use crate::source;
use crate::{Error, Result};

/// How often a restore that changes live data says where it has set files aside.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// What a restore has done, once all that could be restored is in force.
#[derive(Default)]
pub(crate) struct RestoreOutcome {
    summary: RestoreSummary,
    /// Whether Arc must be restarted to see all of it.
    restart_required: bool,
    /// Why it failed all the same: files of the backup are damaged, and were omitted on request.
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
            operation.set_aside_files = Some(summary.set_aside_files);
            operation
                .set_aside_location
                .clone_from(&summary.set_aside_location);
            operation.appeared_files =
                Some(summary.appeared_files).filter(|appeared| *appeared > 0);
        });
    }

    /// Adds what one section came to.
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
        all.set_aside_files += part.set_aside_files;
        all.appeared_files += part.appeared_files;
        if part.set_aside_location.is_some() {
            all.set_aside_location = part.set_aside_location;
        }
    }
}

/// Restores a backup.
pub(crate) async fn run(context: &Context, options: &RestoreOptions) -> Result<RestoreOutcome> {
    let mark = Mark::new(context, options).await;
    let mut parts = Vec::new();
    let mut problems = Problems::new(&context.running);
    let prepared =
        context.or_cancelled(prepare(context, &mut problems, options, &mark, &mut parts));
    let prepared = prepared.await;
    let (inventory, arc) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            context.running.phase(Phase::CleaningUp);
            let left = give_up(&problems, options, &parts, &mark, &error).await;
            let error = with_way_out(context, &problems, options, error).await;
            return Err(unchanged(error, mark.goes_on(), left));
        }
    };
    // Those of damaged files that are omitted.
    let known = problems.count();
    if let Err(error) = apply(context, &mut problems, &inventory, &mark, &parts).await {
        return Err(with_way_out(context, &problems, options, error).await);
    }
    context.running.phase(Phase::FinalCheck);
    if let Some(arc) = &arc
        && let Err(error) = still_ours(context, arc).await
    {
        tell_aside(context, &parts);
        return Err(Error::Failed(format!(
            "{error}; all is restored, and was not looked at once more: run the same restore again"
        )));
    }
    let mut outcome = RestoreOutcome {
        restart_required: parts.iter().any(Part::needs_restart),
        ..RestoreOutcome::default()
    };
    // The data last: with `extra_files = remove` its end is the removal of what was set aside.
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
    mark.remove(parts.iter().any(Part::changes_data)).await?;
    // The live data is as good as this backup can make it, and is not all of the backup.
    outcome.error = damaged::outcome(&problems, options, &inventory).err();
    Ok(outcome)
}

/// The error of a backup that is not whole, with what can be done where there is no other.
async fn with_way_out(
    context: &Context,
    problems: &Problems,
    options: &RestoreOptions,
    error: Error,
) -> Error {
    let is_damaged = !problems.damaged().is_empty() && !options.skip_damaged;
    match error {
        Error::Failed(text) if is_damaged => match damaged::way_out(context).await {
            Some(way_out) => Error::Failed(format!("{text}; {way_out}")),
            None => Error::Failed(text),
        },
        error => error,
    }
}

/// Waits for Arc, and looks whether this restore may still go on: its end may be the removal of what was set aside.
async fn still_ours(context: &Context, arc: &RunningArc<'_>) -> Result<()> {
    arc.settle().await?;
    context.check_cancelled()?;
    context.check_lock().await
}

/// Tells what a restore that fails half-way has set aside.
fn tell_aside(context: &Context, parts: &[Part]) {
    let aside = parts
        .iter()
        .find_map(|part| part.restore.set_aside_so_far());
    if let Some((files, location)) = aside {
        context.running.update(|operation| {
            operation.set_aside_files = Some(files);
            operation.set_aside_location = Some(location);
        });
    }
}

/// Everything before the first live change, with the mark that says that there may have been one. Tells of Arc, where it works at
/// what is restored.
async fn prepare<'a>(
    context: &'a Context,
    problems: &mut Problems,
    options: &RestoreOptions,
    mark: &Mark<'_>,
    parts: &mut Vec<Part>,
) -> Result<(Inventory, Option<RunningArc<'a>>)> {
    context.running.phase(Phase::Checking);
    discard_staged(context, mark).await?;
    let loaded = load(
        context,
        problems,
        &|section| options.includes(section),
        Then::Read,
    )
    .await?;
    if !options.skip_damaged || loaded.is_none() {
        problems.failure("the backup is not whole")?;
    }
    let Some((loaded, inventory)) = loaded else {
        return Err(Error::Failed("the backup can't be read".to_owned()));
    };
    check_missing(context, options, &loaded)?;
    check_unlisted(problems, options, &loaded)?;
    if options.skip_damaged {
        damaged::find_all(context, problems, options, &inventory).await?;
        // They are read once more to be restored: that is what is counted.
        context.running.progress.restart();
    }
    // Before what is live is looked at, and again before it is changed.
    let arc = match options.data {
        true => Some(RunningArc::await_quiet(context, &inventory).await?),
        false => None,
    };
    stage(context, problems, options, &inventory, mark, parts).await?;
    if let Some(arc) = &arc {
        arc.check_quiet().await?;
    }
    context.check_cancelled()?;
    // The next step changes what is live: nobody else may be at this backup meanwhile.
    context.check_lock().await?;
    let changes_data = parts.iter().any(Part::changes_data);
    mark.applying(&sections_of(parts), changes_data).await?;
    Ok((inventory, arc))
}

/// Refuses to leave out the damaged files of a backup that does not say which files it should hold:
/// live versions of those that are missing would be set aside.
fn check_unlisted(problems: &Problems, options: &RestoreOptions, loaded: &Loaded) -> Result<()> {
    let is_short = !problems.is_empty();
    let sets_aside = options.data && options.extra_files != ExtraFilesPolicy::Keep;
    if !options.skip_damaged || loaded.sealed || !is_short || !sets_aside {
        return Ok(());
    }
    problems.failure(
        "Arc's own backup has no list of its files, so live files that are missing in it would be set aside: restore with \
         --extra-files keep (extra_files) too",
    )
}

/// Whether what an incomplete copy lacks can be done without.
fn check_missing(context: &Context, options: &RestoreOptions, loaded: &Loaded) -> Result<()> {
    let manifest = &loaded.manifest;
    if manifest.missing_files == 0 {
        return Ok(());
    }
    if options.extra_files == ExtraFilesPolicy::Remove {
        // What it lacks may be live still.
        return Err(Error::Invalid(
            "an incomplete copy lacks files that may be live: extra_files = remove would remove those"
                .to_owned(),
        ));
    }
    let sample: Vec<_> = (manifest.missing.iter().take(3))
        .map(|missing| missing.path.as_str())
        .collect();
    let more = match manifest.missing_files > sample.len() as u64 {
        true => ", …",
        false => "",
    };
    context.warn(format!(
        "this is an incomplete copy: it lacks {} that could not be read ({}{more})",
        manifest.lacks(),
        sample.join(", ")
    ));
    Ok(())
}

/// Removes what was staged, or leaves it for the next restore of the same backup, and tells how
/// many files these are. The mark of a restore that was interrupted in the middle stays: only a
/// restore that ends removes it.
async fn give_up(
    problems: &Problems,
    options: &RestoreOptions,
    parts: &[Part],
    mark: &Mark<'_>,
    error: &Error,
) -> u64 {
    let is_of_use = mark.tells_stage() && is_worth_resuming(problems, options, error);
    let (mut cleaned, mut left) = (true, 0);
    for part in parts {
        let given_up = match is_of_use && part.section == source::DATA {
            true => part.restore.leave_staged().await,
            false => part.restore.abort().await.map(|()| 0),
        };
        match given_up {
            Ok(files) => left += files,
            Err(error) => {
                cleaned = false;
                tracing::warn!(%error, section = part.section, "the next restore removes the staged files");
            }
        }
    }
    // Files of an earlier run that nobody has looked at, or that are still of use, are known by the
    // marker alone.
    let has_data = parts.iter().any(|part| part.section == source::DATA);
    let keeps_earlier = mark.resumes_staging() && (is_of_use || !has_data);
    if cleaned
        && left == 0
        && !keeps_earlier
        && !mark.goes_on()
        && let Err(error) = mark.remove_own().await
    {
        tracing::warn!(%error, "the mark of a restore that changed nothing stays until the next operation");
    }
    left
}

/// Whether the same restore may come further, with what is staged: not where the backup is damaged,
/// nor where the disk is full, or did not take what it was given.
fn is_worth_resuming(problems: &Problems, options: &RestoreOptions, error: &Error) -> bool {
    let is_of_disk = matches!(
        error,
        Error::Storage(error) if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Cancelled)
    );
    // Without its damaged files, a backup is as good as a whole one.
    let is_whole = options.skip_damaged || problems.is_empty();
    is_whole && !is_of_disk
}

/// The error of a restore that ended before its first change, which says so.
fn unchanged(error: Error, goes_on: bool, left: u64) -> Error {
    let what = match goes_on {
        false => "nothing was changed",
        true => "nothing more was changed",
    };
    let what = match left {
        0 => what.to_owned(),
        _ => format!("{what}; staged files ({left}) are used by the next restore of this backup"),
    };
    match error {
        Error::Cancelled(reason) => Error::Cancelled(format!("{reason}; {what}")),
        error => Error::Failed(format!("{error}; {what}")),
    }
}

fn sections_of(parts: &[Part]) -> Vec<String> {
    parts.iter().map(|part| part.section.clone()).collect()
}

/// Puts what was staged into force, section by section.
async fn apply(
    context: &Context,
    problems: &mut Problems,
    inventory: &Inventory,
    mark: &Mark<'_>,
    parts: &[Part],
) -> Result<()> {
    context.running.phase(Phase::Applying);
    let sections = sections_of(parts);
    for (done, part) in parts.iter().enumerate() {
        let applied = async {
            if part.restore.changes_while_staging() {
                copy_part(context, problems, inventory, part, COPYING_FAILED).await?;
            }
            part.restore.apply().await.map_err(Error::from)
        };
        // Said before it is so, since the restore may be aborted: from then on Arc's memory is stale.
        if part.needs_restart() {
            context
                .running
                .update(|operation| operation.restart_required = Some(true));
        }
        let report = async {
            loop {
                tokio::time::sleep(REPORT_INTERVAL).await;
                tell_aside(context, std::slice::from_ref(part));
            }
        };
        let applied = tokio::select! {
            biased;
            applied = applied => applied,
            () = report => unreachable!("it goes on for ever"),
        };
        match &applied {
            Err(_) => tell_aside(context, std::slice::from_ref(part)),
            // What was said meanwhile is said anew at the end, of all parts together.
            Ok(()) => context.running.update(|operation| {
                operation.set_aside_files = None;
                operation.set_aside_location = None;
            }),
        }
        applied.map_err(|error| {
            let what =
                "the live data is partly restored: run the same restore again to complete it";
            match context.running.cause_of(error) {
                Error::Cancelled(reason) => Error::Cancelled(format!("{reason}; {what}")),
                error => Error::Failed(format!("{error}; {what}")),
            }
        })?;
        mark.done(&sections, &sections[..=done]).await;
    }
    Ok(())
}
