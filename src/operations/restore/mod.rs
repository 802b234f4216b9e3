//! Restoring a backup.
//!
//! Everything is checked, and every file that will change is staged and verified, before the first live byte
//! changes. From then on a marker in the state folder and beside the data says what is going on, and running the same
//! restore again completes it.

pub(crate) mod arc_idle;
pub(crate) mod checks;
pub(crate) mod damaged;
pub(crate) mod disk_space;
pub(crate) mod marker;
pub(crate) mod plan;
pub(crate) mod preview;
pub(crate) mod set_aside;
pub(crate) mod staging;
pub(crate) mod time_needed;

use std::time::Duration;

use arc_backup_core::{ErrorKind, RestoreSummary};

use crate::manifest::Inventory;
use crate::operations::context::Context;
use crate::operations::restore::arc_idle::RunningArc;
use crate::operations::restore::marker::{APPLYING, Mark};
use crate::operations::restore::staging::{COPYING_FAILED, Part, copy_part, discard_staged, stage};
use crate::operations::verify;
use crate::operations::verify::completeness::Then;
use crate::repository::Loaded;
use crate::source;
use crate::{Error, Result};

/// How often a restore that changes live data says where it has set files aside.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// What becomes of live files that the backup does not hold.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    poem_openapi::Enum,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
#[value(rename_all = "kebab-case")]
pub enum ExtraFilesPolicy {
    /// They are moved beside the storage root and kept.
    #[default]
    #[value(alias = "set_aside")]
    SetAside,
    /// They stay: Arc may serve rows twice.
    Keep,
    /// They are moved aside, and removed after everything else has succeeded.
    Remove,
}

/// What to restore, and how.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Parquet files and their companions.
    pub data: bool,
    /// SQLite databases.
    pub metadata: bool,
    /// `arc.toml`.
    pub config: bool,
    /// Live files that the backup does not hold.
    pub extra_files: ExtraFilesPolicy,
    /// An incomplete copy may be taken, where there is no backup of that id.
    pub allow_incomplete: bool,
    /// Read all that will be restored before the first write, also where the data storage can't stage it.
    pub verify_first: bool,
    /// What is live here may be replaced by a backup of another instance.
    pub into_other_instance: bool,
    /// Files that are damaged or missing in the backup are left out, and what is live in their
    /// place stays as it is. Such a restore ends as a failed one all the same.
    pub skip_damaged: bool,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self {
            data: true,
            metadata: true,
            config: false,
            extra_files: ExtraFilesPolicy::default(),
            allow_incomplete: false,
            verify_first: false,
            into_other_instance: false,
            skip_damaged: false,
        }
    }
}

impl RestoreOptions {
    pub(crate) fn includes(&self, section: &str) -> bool {
        match section {
            source::DATA => self.data,
            source::METADATA => self.metadata,
            source::CONFIG => self.config,
            // A section of a third party is data.
            _ => self.data,
        }
    }
}

pub(crate) async fn run(context: &Context, options: &RestoreOptions) -> Result<()> {
    let mark = Mark::new(context, options).await;
    let mut parts = Vec::new();
    let prepared = context.or_cancelled(prepare(context, options, &mark, &mut parts));
    let prepared = prepared.await;
    let (inventory, arc) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            context.running.phase("cleaning up");
            let left = give_up(context, options, &parts, &mark, &error).await;
            let error = with_way_out(context, options, error).await;
            return Err(unchanged(error, mark.goes_on(), left));
        }
    };
    // Of files that are left out.
    let known = context.running.snapshot().problem_count;
    if let Err(error) = apply(context, &inventory, &mark, &parts).await {
        return Err(with_way_out(context, options, error).await);
    }
    context.running.phase("checking what was restored");
    if let Some(arc) = &arc
        && let Err(error) = still_ours(context, arc).await
    {
        tell_aside(context, &parts);
        return Err(Error::Failed(format!(
            "{error}; all is restored, and was not looked at once more: run the same restore again"
        )));
    }
    // The data last: with `extra_files = remove` its end is the removal of what was set aside.
    for part in parts.iter().rev() {
        let summary = part.restore.finish().await?;
        report(context, &summary);
        context.failure_since(
            known,
            "what was restored is not as it should be (stop Arc, or wait until its compaction has ended, and run the same restore \
             again)",
        )?;
    }
    context
        .running
        .update(|operation| _ = operation.restart_required.get_or_insert(false));
    mark.remove(parts.iter().any(Part::changes_data)).await?;
    // The data is as good as this backup can make it, and not what it holds.
    damaged::outcome(context, options, &inventory)
}

/// The error of a backup that is not whole, with what can be done where there is no other.
async fn with_way_out(context: &Context, options: &RestoreOptions, error: Error) -> Error {
    let is_damaged = !context.damaged.is_empty() && !options.skip_damaged;
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
    options: &RestoreOptions,
    mark: &Mark<'_>,
    parts: &mut Vec<Part>,
) -> Result<(Inventory, Option<RunningArc<'a>>)> {
    context.running.phase("checking");
    discard_staged(context, mark).await?;
    let loaded = verify::load(context, &|section| options.includes(section), Then::Read).await?;
    if !options.skip_damaged || loaded.is_none() {
        context.failure("the backup is not whole")?;
    }
    let Some((loaded, inventory)) = loaded else {
        return Err(Error::Failed("the backup can't be read".to_owned()));
    };
    check_missing(context, options, &loaded)?;
    check_unlisted(context, options, &loaded)?;
    if options.skip_damaged {
        damaged::find_all(context, options, &inventory).await?;
        // They are read once more to be restored: that is what is counted.
        context.running.progress.restart();
    }
    // Before what is live is looked at, and again before it is changed.
    let arc = match options.data {
        true => Some(RunningArc::await_quiet(context, &inventory).await?),
        false => None,
    };
    stage(context, options, &inventory, mark, parts).await?;
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
fn check_unlisted(context: &Context, options: &RestoreOptions, loaded: &Loaded) -> Result<()> {
    let is_short = context.running.snapshot().problem_count > 0;
    let sets_aside = options.data && options.extra_files != ExtraFilesPolicy::Keep;
    if !options.skip_damaged || loaded.sealed || !is_short || !sets_aside {
        return Ok(());
    }
    context.failure(
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
    context: &Context,
    options: &RestoreOptions,
    parts: &[Part],
    mark: &Mark<'_>,
    error: &Error,
) -> u64 {
    let is_of_use = mark.tells_stage() && is_worth_resuming(context, options, error);
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
fn is_worth_resuming(context: &Context, options: &RestoreOptions, error: &Error) -> bool {
    let is_of_disk = matches!(
        error,
        Error::Storage(error) if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Cancelled)
    );
    // Without its damaged files, a backup is as good as a whole one.
    let is_whole = options.skip_damaged || context.running.snapshot().problem_count == 0;
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
    inventory: &Inventory,
    mark: &Mark<'_>,
    parts: &[Part],
) -> Result<()> {
    context.running.phase(APPLYING);
    let sections = sections_of(parts);
    for (done, part) in parts.iter().enumerate() {
        let applied = async {
            if part.restore.changes_while_staging() {
                copy_part(context, inventory, part, COPYING_FAILED).await?;
            }
            part.restore.apply().await.map_err(Error::from)
        };
        // Before it is so, as it may be broken off: what Arc holds in memory is no longer what is there then.
        if [source::METADATA, source::CONFIG].contains(&part.section.as_str()) {
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

fn report(context: &Context, summary: &RestoreSummary) {
    for (path, detail) in &summary.problems {
        context
            .running
            .problem(path.as_str(), "unexpected", detail.as_str());
    }
    context.running.update(|operation| {
        for warning in &summary.warnings {
            operation.add_warning(warning.clone());
        }
        operation.kept.extend(summary.kept.iter().cloned());
        *operation.unchanged_files.get_or_insert(0) += summary.unchanged_files;
        *operation.set_aside_files.get_or_insert(0) += summary.set_aside_files;
        if summary.set_aside_location.is_some() {
            operation
                .set_aside_location
                .clone_from(&summary.set_aside_location);
        }
        if summary.appeared_files > 0 {
            *operation.appeared_files.get_or_insert(0) += summary.appeared_files;
        }
    });
}
