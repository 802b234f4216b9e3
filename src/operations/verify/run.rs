//! The steps of a verification.

use arc_backup_core::{Entry, Error as CoreError, Section};
use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::manifest::{Inventory, Record};
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::entries::{records_in, to_core};
use crate::operations::problems::Problems;
use crate::operations::selected::check_matches;
use crate::operations::verify::check_for::OnBadList;
use crate::operations::verify::completeness;
use crate::operations::verify::file_list;
use crate::operations::verify::load::load;
use crate::operations::verify::mode::VerifyMode;
use crate::operations::verify::no_writer::NoWriter;
use crate::operations::verify::options::VerifyOptions;
use crate::operations::verify::sampling::{self, Run};
use crate::operations::{ProblemKind, Running, Sample};
use crate::pipeline::Reader;
use crate::repository::{BackupState, LastVerified, Note, SampleCursor};
use crate::{Error, Result};

/// The outcome of a verification.
pub(crate) struct VerifyOutcome {
    /// The state of the backup afterwards.
    state: BackupState,
    /// The share that the samples of this round have read, this one included; `None` if this was
    /// not a sample.
    covered: Option<f64>,
    problems: Problems,
}

impl VerifyOutcome {
    /// Reports the outcome to the status.
    ///
    /// # Errors
    /// Fails if the backup has problems.
    pub(crate) fn report(self, running: &Running) -> Result<()> {
        running.update(|operation| {
            operation.backup_state = Some(self.state);
            if let Some(sample) = &mut operation.sample {
                sample.covered = self.covered;
            }
        });
        self.problems.failure("the backup does not verify")
    }
}

/// Verifies a backup. Continues after the first problem and records all of them.
pub(crate) async fn run(context: &Context, options: &VerifyOptions) -> Result<VerifyOutcome> {
    let mode = options.mode;
    let note = read_note(context).await;
    let run = match mode {
        VerifyMode::Sample(share) => Some(Run::new(cursor(context).await, share)),
        VerifyMode::Full | VerifyMode::Quick => None,
    };
    // Recorded only after a complete run: an interrupted verification proves nothing.
    let mut problems = Problems::new(&context.running);
    examine(context, &mut problems, options, run.as_ref()).await?;
    // Files that are missing may have been deleted since the lease was lost. A missing answer does
    // not prove that it was.
    if let Err(error @ Error::Cancelled(_)) = context.check_lock().await {
        return Err(error);
    }
    // Of a part, faults alone are recorded: the rest of the backup may have any.
    if !options.scope.is_whole() && problems.is_empty() {
        return Ok(VerifyOutcome {
            state: BackupState::of(&note),
            covered: None,
            problems,
        });
    }
    let done = LastVerified {
        at: Timestamp::now().to_string(),
        mode: mode.name().to_owned(),
        ok: problems.is_empty(),
        operation_id: context.operation_id.to_string(),
        share: mode.share(),
        covered: run.as_ref().map(|run| run.covered),
    };
    let add = |note: &mut Note| {
        note.add_verification(done.clone());
        if let Some(run) = &run {
            note.sample = Some(run.next);
        }
    };
    let note = match update_note(context, add).await {
        Ok(note) => note,
        Err(error) => {
            context.warn(format!(
                "cannot record the verification result in the target: {error}"
            ));
            let mut note = note;
            add(&mut note);
            note
        }
    };
    let state = BackupState::of(&note);
    Ok(VerifyOutcome {
        state,
        covered: run.map(|run| run.covered),
        problems,
    })
}

/// Reads the note of the backup; an empty one if it is missing or unreadable.
async fn read_note(context: &Context) -> Note {
    match context.repository.note(&context.id).await {
        Ok(note) => note.unwrap_or_default(),
        Err(error) => {
            context.warn(format!("the backup's note: {error}"));
            Note::default()
        }
    }
}

/// Where the sample begins. Where that cannot be recorded the samples are random, or each would
/// read the same files.
async fn cursor(context: &Context) -> SampleCursor {
    let error = match update_note(context, |_| {}).await {
        Ok(note) => return note.sample.unwrap_or_default(),
        Err(error) => error,
    };
    context.warn(format!(
        "cannot record in the target which files were read: this sample is random, and later samples may repeat or omit \
         files: {error}"
    ));
    SampleCursor {
        next: sampling::position(&context.operation_id),
        covered: 0,
    }
}

/// Changes the note in the target, if that can be written.
pub(crate) async fn update_note(
    context: &Context,
    change: impl FnMut(&mut Note) + Send,
) -> Result<Note> {
    match &context.lock {
        Some(lock) => lock.check().await?,
        None => return Err(Error::Failed("it can only be read".to_owned())),
    }
    context.repository.update_note(&context.id, change).await
}

async fn examine(
    context: &Context,
    problems: &mut Problems,
    options: &VerifyOptions,
    run: Option<&Run>,
) -> Result<()> {
    let VerifyOptions { mode, scope } = options;
    context.running.phase(Phase::ReadingInventory);
    if let Some((loaded, inventory)) =
        load(context, problems, scope, mode.checks_for(), OnBadList::Fail).await?
    {
        if loaded.manifest.is_leg() && context.repository.legs().is_empty() {
            context.warn(format!(
                "this is only the leg in {} of a backup over the targets {}",
                context.repository.label(),
                loaded.manifest.run_targets.join(", ")
            ));
        }
        if !loaded.sealed {
            let text = match loaded.has_checksums {
                true => {
                    "Arc itself made this backup: of its files, only those of the data have checksums"
                }
                false => {
                    "Arc itself made this backup: it has no checksums, only its counts could be checked"
                }
            };
            context.warn(text.to_owned());
        }
        check_matches(&context.id, &inventory, scope)?;
        if scope.is_whole() {
            completeness::check_scope(problems, &loaded, &inventory)?;
            file_list::check(context, &loaded, mode.checks_for()).await?;
        }
        read(context, problems, &inventory, options, run).await?;
        if !loaded.sealed && *mode == VerifyMode::Full && scope.includes(&Section::Metadata) {
            check_databases(context, problems, &inventory).await?;
        }
    }
    Ok(())
}

/// Checks the databases of a backup without checksums with SQLite's integrity check.
async fn check_databases(
    context: &Context,
    problems: &mut Problems,
    inventory: &Inventory,
) -> Result<()> {
    let reader = context.repository.reader(&context.id, inventory)?;
    for record in inventory.records_of(&Section::Metadata)? {
        let record = record?;
        if !record.path.ends_with(".db") {
            continue;
        }
        let entry = Entry::new(record.path.clone(), record.entry.size);
        let path = context.scratch()?.join("database");
        let copied = async {
            let mut pieces = crate::pipeline::pieces(reader.open(&entry).await?, &entry.key);
            let mut copy = crate::files::create_file(&path)
                .map_err(|e| CoreError::from_io("write", path.display().to_string(), e))?;
            while let Some(piece) = pieces.next().await {
                std::io::Write::write_all(&mut copy, &piece?)
                    .map_err(|e| CoreError::from_io("write", path.display().to_string(), e))?;
            }
            Ok::<_, CoreError>(())
        };
        copied.await?;
        let checked = tokio::task::spawn_blocking(move || crate::source::check_file(&path)).await;
        if let Ok(Err(error)) = checked {
            problems.add(
                record.path.as_str(),
                ProblemKind::Unreadable,
                error.detail(),
            );
        }
    }
    Ok(())
}

async fn read(
    context: &Context,
    problems: &mut Problems,
    inventory: &Inventory,
    options: &VerifyOptions,
    run: Option<&Run>,
) -> Result<()> {
    let (mode, scope) = (options.mode, &options.scope);
    // Files with known damage are not read again.
    let damaged = problems.damaged();
    let span = run.map(|run| run.span);
    let drawn = move |record: &Record| match span {
        Some(span) => span.contains(&record.path),
        None => mode == VerifyMode::Full,
    };
    let (mut files, mut bytes) = (0, 0);
    for record in records_in(inventory, scope)? {
        let record = record?;
        files += 1;
        bytes += record.entry.size;
        if drawn(&record) {
            context.running.progress.expect(1, record.entry.size);
        }
    }
    if let Some(share) = mode.share() {
        context.running.update(|operation| {
            operation.sample = Some(Sample {
                share,
                of_files: files,
                of_bytes: bytes,
                covered: None,
            });
        });
    }
    if mode == VerifyMode::Quick {
        // Listed, and not read.
        context.running.progress.expect(files, 0);
        context.running.progress.add_files(files);
        return Ok(());
    }
    context.running.phase(Phase::Reading);
    let records = records_in(inventory, scope)?.filter_map(move |record| match record {
        Ok(record) if !drawn(&record) || damaged.contains(&record.path) => None,
        // The key is the whole path in the backup.
        Ok(record) => Some(Ok(Entry {
            key: record.path,
            ..record.entry
        })),
        Err(error) => Some(Err(to_core(error))),
    });
    let reader = context.repository.reader(&context.id, inventory)?;
    let plan = context.plan();
    let mut copies = plan.run(
        stream::iter(records).boxed(),
        &reader as &dyn Reader,
        &NoWriter,
    );
    while let Some(outcome) = copies.next().await {
        let outcome = outcome?;
        if let Some(fault) = &outcome.fault {
            if let Some(error) = completeness::archived_fault(&outcome.entry.key, fault) {
                return Err(error);
            }
            problems.add_fault(&outcome.entry.key, fault)?;
        }
    }
    context.check_cancelled()
}
