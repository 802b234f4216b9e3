//! What a restore writes before the first live change: the staged files.

use std::sync::Arc;

use arc_backup_core::{Discard, Discarded, RestoreSummary, Scope, Section, Source};

use crate::Result;
use crate::config::Settings;
use crate::manifest::Inventory;
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::entries::{difference, section_entries};
use crate::operations::problems::Problems;
use crate::operations::restore::marker::{
    RestoreMarker, any_marker, keeps_staged, marker_path, remove_marker, state_marker,
};
use crate::operations::restore::restored_section::{RestoredSection, copy_needed};
use crate::operations::restore::{RestoreInProgress, RestoreOptions};
use crate::operations::verify::completeness::archived_fault;
use crate::operations::verify::no_writer::NoWriter;
use crate::source::section_of;

const STAGING_FAILED: &str = "the backup could not be read or staged";

/// Removes, before a backup, the files that interrupted restores staged, except those that the next
/// restore of the same backup can use: these are kept for some days.
pub(crate) async fn discard_old_staged(
    context: &Context,
    interrupted: Option<&RestoreInProgress>,
) -> Result<()> {
    let is_there = interrupted.is_some() || marker_path(&context.settings).exists();
    if is_there && !keeps_staged(&context.settings) {
        discard_marked(context, interrupted).await?;
    }
    Ok(())
}

/// Removes what the restores of the markers have staged. A place out of their scope has nothing of
/// that, and need not be readable.
async fn discard_marked(context: &Context, interrupted: Option<&RestoreInProgress>) -> Result<()> {
    let settings = &context.settings;
    let scope = staged_scope(settings, interrupted);
    discard_in(settings, &context.sources, Discard::Remove, &scope)
        .await?
        .whole()?;
    Ok(())
}

/// The data that files may be staged of; all of it, where no marker says that it is less.
fn staged_scope(settings: &Settings, interrupted: Option<&RestoreInProgress>) -> Scope {
    let mut markers = any_marker(settings).into_iter().chain(interrupted.cloned());
    let Some(mut all) = markers.next() else {
        return Scope::whole();
    };
    for other in markers {
        all.add_data_scope(&other.data_scope());
    }
    all.data_scope()
}

/// Removes the files that interrupted restores staged, except data that this one may use. The
/// marker of a restore that had begun to change live data stays: only a restore that ends removes
/// it.
pub(crate) async fn discard_staged(context: &Context, marker: &RestoreMarker<'_>) -> Result<()> {
    if marker.resumes_staging() {
        let others =
            (context.sources.iter()).filter(|source| section_of(&***source) != Section::Data);
        for source in others {
            source.discard_unfinished(Discard::Remove).await?.whole()?;
        }
    } else if marker.is_resuming() || marker_path(&context.settings).exists() {
        discard_marked(context, marker.interrupted()).await?;
    } else {
        // An undo that was killed before its first change has no marker.
        discard_staged_beside(context).await?;
    }
    Ok(())
}

/// Removes the databases and configuration that interrupted restores staged.
pub(crate) async fn discard_staged_beside(context: &Context) -> Result<()> {
    for source in context.sources.iter() {
        if matches!(section_of(&**source), Section::Metadata | Section::Config) {
            source.discard_unfinished(Discard::Remove).await?.whole()?;
        }
    }
    Ok(())
}

/// Removes, or counts, the files that interrupted restores staged, also where no marker says that
/// there are any, which takes a walk through the data.
pub(crate) async fn discard_all_staged(
    settings: &Settings,
    sources: &[Arc<dyn Source>],
    discard: Discard,
) -> Result<Discarded> {
    discard_in(settings, sources, discard, &Scope::whole()).await
}

/// The same, without the faults of places in the data where nothing in scope is.
async fn discard_in(
    settings: &Settings,
    sources: &[Arc<dyn Source>],
    discard: Discard,
    scope: &Scope,
) -> Result<Discarded> {
    let mut discarded = Discarded::default();
    for source in sources {
        let mut found = source.discard_unfinished(discard).await;
        if section_of(&**source) == Section::Data
            && let Ok(found) = &mut found
        {
            let is_in = |path: &str| scope.contains_data(path);
            // It may be a file, or a folder without a `/` at its end.
            (found.faults)
                .retain(|fault| is_in(fault.subject()) || is_in(&format!("{}/", fault.subject())));
        }
        discarded.add(found);
    }
    if discard == Discard::Remove && discarded.faults.is_empty() && state_marker(settings).is_none()
    {
        remove_marker(settings)?;
    }
    Ok(discarded)
}

/// Stages the files that change, and verifies these and the rest, of the sections for which that
/// was not done yet.
pub(crate) async fn stage(
    context: &Context,
    problems: &mut Problems,
    options: &RestoreOptions,
    inventory: &Inventory,
    parts: &mut [RestoredSection],
) -> Result<()> {
    context.running.phase(Phase::Staging);
    let (staged, mut parts): (Vec<_>, Vec<_>) = (parts.iter_mut()).partition(|part| part.is_staged);
    // Small things first: a database or configuration that can't be restored is known before the
    // data is copied.
    for part in parts.iter().rev() {
        // A storage that can't stage is written to when everything else is staged.
        let part = &**part;
        if !part.restore.changes_while_staging() {
            copy_needed(context, problems, part, STAGING_FAILED).await?;
        }
    }
    context.running.phase(Phase::Verifying);
    // Where damaged files are omitted, all files were read before the plan was made.
    for part in parts.iter().filter(|_| !options.skip_damaged) {
        // Staged files are verified; others are verified as they are written, unless that is too
        // late.
        let all = options.verify_first && part.restore.changes_while_staging();
        verify_before(context, problems, options, inventory, part, all).await?;
    }
    // Also those of an earlier plan: what they carry over from the live state may be another now.
    for part in staged {
        part.restore.ready().await?;
    }
    for part in &mut parts {
        part.restore.ready().await?;
        part.is_staged = true;
    }
    Ok(())
}

/// Reads the files of the backup that need not be restored, or `all`: a restore that completes has
/// verified the whole backup, and a damaged file is known while there is still a good live one.
async fn verify_before(
    context: &Context,
    problems: &mut Problems,
    options: &RestoreOptions,
    inventory: &Inventory,
    part: &RestoredSection,
    all: bool,
) -> Result<()> {
    let entries = section_entries(inventory, &part.section, &options.scope)?;
    let entries = match part.no_longer_needed() {
        // Whatever the last plan did not need was verified then.
        Some(_) if all => return Ok(()),
        Some(unread) => unread,
        None if all => {
            // These are read once more when they are written.
            let RestoreSummary {
                needed_files,
                needed_bytes,
                ..
            } = part.planned;
            context.running.progress.expect(needed_files, needed_bytes);
            entries
        }
        None => difference(entries, part.restore.needed()),
    };
    let plan = context.plan();
    let mut copies = plan.run(entries, &part.reader, &NoWriter);
    while let Some(outcome) = copies.next().await {
        let outcome = outcome?;
        if let Some(fault) = &outcome.fault {
            let path = format!("{}/{}", part.section, outcome.entry.key);
            if let Some(error) = archived_fault(&path, fault) {
                return Err(error);
            }
            problems.add_fault(&path, fault)?;
        }
    }
    context.check_cancelled()?;
    problems.failure("the backup is not whole")
}
