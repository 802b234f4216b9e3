//! The steps of an undo.
//!
//! As a restore: everything is decided, and databases are staged, before the first live byte
//! changes. From then on a restore marker says so, and running the same undo again completes it.

use arc_backup_core::{Scope, Section};

use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::restore::arc_idle::RunningArc;
use crate::operations::restore::disk_space::check_room;
use crate::operations::restore::marker::RestoreMarker;
use crate::operations::restore::replanning::Replanning;
use crate::operations::restore::staging::{discard_staged, discard_staged_beside};
use crate::operations::undo::changes::LineWriter;
use crate::operations::undo::finish::remove_what_was_set_aside;
use crate::operations::undo::kept::KeptUndo;
use crate::operations::undo::pending::{self, MovedPending};
use crate::operations::undo::plan::{Planned, Planner};
use crate::operations::undo::record::Record;
use crate::operations::undo::sections::FilesUndo;
use crate::operations::undo::stack::{self, ToUndo};
use crate::operations::{Phase, ProblemKind, RestoreOptions, UndoRequest};
use crate::{Error, Result};

/// What was prepared, before the first change.
struct Prepared<'a> {
    found: ToUndo,
    files: Vec<FilesUndo>,
    kept: Vec<KeptUndo>,
    pending: Vec<MovedPending>,
    arc: Option<RunningArc<'a>>,
}

impl Prepared<'_> {
    fn sections(&self) -> Vec<String> {
        let files = self.files.iter().map(|files| files.section.clone());
        let kept = self.kept.iter().map(|kept| kept.section.to_string());
        files.chain(kept).collect()
    }

    fn changes_data(&self) -> bool {
        self.files.iter().any(|files| files.done().1 > 0)
    }

    async fn abort(&self) {
        discard(&self.kept).await;
        for files in &self.files {
            // Nothing was set aside yet: this removes what was made to try it.
            if let Err(error) = files.own.remove().await {
                tracing::warn!(%error, "an empty folder for files set aside may be left");
            }
        }
    }
}

/// Removes databases and configuration that were staged.
async fn discard(staged: &[KeptUndo]) {
    for kept in staged {
        if let Err(error) = kept.abort().await {
            tracing::warn!(%error, section = %kept.section, "the next restore removes the staged files");
        }
    }
}

/// Takes a restore back.
pub(crate) async fn run(context: &Context, undo: &UndoRequest) -> Result<()> {
    let options = RestoreOptions {
        scope: Scope::whole(),
        ..RestoreOptions::default()
    };
    let marker = RestoreMarker::of_undo(context, &options, &undo.operation_id).await;
    let nothing = match marker.is_resuming() {
        false => "nothing was changed",
        true => "nothing more was changed",
    };
    let mut problems = Problems::new(&context.running);
    let mut replanning = Replanning::new(context);
    let (prepared, record) = loop {
        let mut staged = Vec::new();
        let prepared = prepare(context, &mut problems, undo, &marker, &mut staged);
        let mut prepared = match context.or_cancelled(prepared).await {
            Ok(prepared) => prepared,
            Err(error) => {
                discard(&staged).await;
                return Err(error.context(nothing));
            }
        };
        prepared.kept = staged;
        replanning.planned();
        let mut record = Record::new(context, earlier_of(&prepared.found));
        record.undoes = Some(undo.operation_id.clone());
        record.undoes_interrupted = !prepared.found.is_finished();
        record.level = prepared.found.last().level + 1;
        let begun = begin(context, &prepared, &mut record, &marker, &mut replanning);
        let begun = context.or_cancelled(begun).await;
        if let Ok(Begun::Applying) = begun {
            break (prepared, record);
        }
        prepared.abort().await;
        if let Err(error) = super::record::remove(&context.settings, &record.operation_id) {
            tracing::warn!(%error, "the record of an undo that changed nothing stays");
        }
        if let Err(error) = marker.remove_own().await {
            tracing::warn!(%error, "the restore marker of an undo that changed nothing stays until the next operation");
        }
        begun.map_err(|error| error.context(nothing))?;
        context.running.progress.restart();
    };
    apply(context, &marker, &prepared).await.map_err(|error| {
        let (done, all) = totals(&prepared.files);
        context.running.cause_of(error).context(format!(
            "the restore is partly taken back ({done} of {all} data files): complete it with `arc-backup undo {}`",
            undo.operation_id
        ))
    })?;
    context.running.phase(Phase::FinalCheck);
    finish(context, &mut problems, &marker, &prepared, record)
        .await
        .map_err(|error| {
            error.context(format!(
                "everything was taken back, but the final check failed: run `arc-backup undo {}` again",
                undo.operation_id
            ))
        })?;
    // From here on the undo has ended; what it has put back need not be kept any more.
    if let Err(error) = remove_what_was_set_aside(context, &prepared.found).await {
        context.warn(format!(
            "files that the restore had set aside are still there, and are no longer needed ({error}): remove them with \
             `arc-backup set-aside --remove {} --confirm`",
            undo.operation_id
        ));
    }
    Ok(())
}

fn earlier_of(found: &ToUndo) -> Vec<String> {
    let undos = found.undos.iter();
    undos.map(|undo| undo.operation_id.clone()).collect()
}

fn totals(files: &[FilesUndo]) -> (u64, u64) {
    let sums = files.iter().map(FilesUndo::done);
    sums.fold((0, 0), |(done, all), (d, a)| (done + d, all + a))
}

/// Decides everything, and stages databases and configuration, each of which is added to `staged`.
async fn prepare<'a>(
    context: &'a Context,
    problems: &mut Problems,
    undo: &UndoRequest,
    marker: &RestoreMarker<'_>,
    staged: &mut Vec<KeptUndo>,
) -> Result<Prepared<'a>> {
    context.running.phase(Phase::Checking);
    let settings = &*context.settings;
    super::record::remove_leftovers(settings, &context.operation_id);
    let found = stack::find(settings, &undo.operation_id, marker.interrupted())?;
    let found = found.ok_or_else(|| Error::UnknownOperation(undo.operation_id.clone()))?;
    // What an interrupted restore has staged shows what it has not brought: that stays until the
    // end.
    discard_staged_beside(context).await?;
    if !marker.is_resuming() {
        discard_staged(context, marker).await?;
    }
    let changes_data = found
        .sections()
        .iter()
        .any(|one| *one == *Section::Data.as_str());
    let arc = match changes_data {
        true => Some(RunningArc::await_quiet_before_undo(context).await?),
        false => None,
    };
    let planner = Planner {
        settings,
        sources: &context.sources,
        repository: &context.repository,
        scratch: context.scratch()?,
        operation_id: context.operation_id.clone(),
        cancel: context.running.cancel.clone(),
        activity: context.running.progress.activity().clone(),
    };
    let planned = planner.plan(&found, marker.interrupted()).await?;
    refuse(problems, &planned, &undo.operation_id)?;
    for files in &planned.files {
        let figures = &files.figures;
        let count = figures.returned_files + figures.removed_files;
        context
            .running
            .progress
            .expect(count, figures.returned_bytes);
    }
    context.running.update(|operation| {
        operation.restart_required = Some(!planned.kept.is_empty());
        operation.unchanged_files = Some(
            planned
                .files
                .iter()
                .map(|files| files.figures.unchanged_files)
                .sum(),
        );
    });
    context.running.phase(Phase::Staging);
    stage(&planner, planned.kept, staged).await?;
    Ok(Prepared {
        found,
        files: planned.files,
        kept: Vec::new(),
        pending: planned.pending,
        arc,
    })
}

/// Fails where files stand in the way, and names them.
fn refuse(problems: &mut Problems, planned: &Planned, operation_id: &str) -> Result<()> {
    let (count, first) = planned.in_the_way();
    let Some((path, reason)) = first.first() else {
        return Ok(());
    };
    for (path, reason) in &first {
        problems.add(path.as_str(), ProblemKind::Unexpected, reason.as_str());
    }
    let more = match count {
        1 => String::new(),
        _ => format!(", and {} more files", count - 1),
    };
    Err(Error::Failed(format!(
        "operation {operation_id} can't be taken back: `{path}`: {reason}{more}; restore a backup from before it"
    )))
}

async fn stage(
    planner: &Planner<'_>,
    kept: Vec<super::kept::KeptFile>,
    staged: &mut Vec<KeptUndo>,
) -> Result<()> {
    let mut rooms = Vec::new();
    for section in [Section::Metadata, Section::Config] {
        let files: Vec<_> = (kept.iter())
            .filter(|file| file.section == section)
            .cloned()
            .collect();
        if files.is_empty() {
            continue;
        }
        let source = planner.source_of(&section)?;
        let undo = KeptUndo::plan(&section, files, source, planner.staging()).await?;
        rooms.extend(undo.room.iter().cloned());
        staged.push(undo);
    }
    check_room(&rooms)?;
    for undo in &*staged {
        undo.stage().await?;
    }
    for undo in staged {
        undo.ready().await?;
    }
    Ok(())
}

/// How far an undo came.
enum Begun {
    /// It may change live data from now on.
    Applying,
    /// Compaction has changed the data that the plan was made from.
    PlanIsObsolete,
}

/// Makes the last checks, records what is about to change, and writes the restore marker.
async fn begin(
    context: &Context,
    prepared: &Prepared<'_>,
    record: &mut Record,
    marker: &RestoreMarker<'_>,
    replanning: &mut Replanning<'_>,
) -> Result<Begun> {
    let settings = &*context.settings;
    let folder = record.make_folder(settings)?;
    for files in &prepared.files {
        files.prepare().await?;
        files.record(&record.changes(settings, &files.section))?;
        record.sections.push(files.section.clone());
    }
    for kept in &prepared.kept {
        let section = kept.section.to_string();
        let path = record.changes(settings, &section);
        let mut writer = LineWriter::create(&path)?;
        for change in kept.changes() {
            writer.add(&change)?;
        }
        writer.finish()?;
        record.sections.push(section);
    }
    tracing::debug!(folder = %folder.display(), "what the undo changes is recorded");
    if replanning.is_necessary(prepared.arc.as_ref()).await? {
        return Ok(Begun::PlanIsObsolete);
    }
    context.check_cancelled()?;
    context.check_lock().await?;
    record.write(settings)?;
    let sections = prepared.sections();
    marker.applying(&sections, prepared.changes_data()).await?;
    Ok(Begun::Applying)
}

async fn apply(
    context: &Context,
    marker: &RestoreMarker<'_>,
    prepared: &Prepared<'_>,
) -> Result<()> {
    context.running.phase(Phase::Applying);
    let (sections, progress) = (prepared.sections(), &context.running.progress);
    let mut done = 0;
    for files in &prepared.files {
        files
            .apply(|bytes| {
                progress.add_files(1);
                progress.add_bytes(bytes);
            })
            .await?;
        done += 1;
        marker.done(&sections, &sections[..done]).await;
    }
    for kept in &prepared.kept {
        let (places, warnings) = kept.apply(&context.operation_id).await?;
        context
            .running
            .update(|operation| operation.kept.extend(places));
        for warning in warnings {
            context.warn(warning);
        }
        done += 1;
        marker.done(&sections, &sections[..done]).await;
    }
    Ok(())
}

/// Looks once more at what is live, and notes that the undo has ended.
async fn finish(
    context: &Context,
    problems: &mut Problems,
    marker: &RestoreMarker<'_>,
    prepared: &Prepared<'_>,
    mut record: Record,
) -> Result<()> {
    if let Some(arc) = &prepared.arc {
        arc.settle().await?;
        context.check_cancelled()?;
        context.check_lock().await?;
    }
    let mut aside = (0, None);
    for files in &prepared.files {
        for (path, reason) in files.check().await? {
            problems.add(path, ProblemKind::Unexpected, reason);
        }
        aside.0 += files.figures.aside_files;
        aside.1 = aside.1.or(files.set_aside_location());
    }
    problems.failure(
        "files changed before the final check (stop Arc, or wait until its compaction has ended)",
    )?;
    context.running.update(|operation| {
        operation.set_aside_files = Some(aside.0);
        operation.set_aside_location = aside.1;
    });
    // After the databases, whose own restore moves away what is staged there.
    for warning in pending::move_back(&prepared.pending)? {
        context.warn(warning);
    }
    // Before what shows which files the interrupted restore has not brought goes.
    record.mark_taken_back(&context.settings)?;
    if marker.is_resuming()
        && let Err(error) = discard_staged(context, marker).await
    {
        context.warn(format!(
            "files that the interrupted restore had staged are left ({error}): `arc-backup sweep --apply` removes them"
        ));
    }
    // The record last: until then the same undo can be run again.
    marker.remove(prepared.changes_data()).await?;
    record.finish(&context.settings)
}
