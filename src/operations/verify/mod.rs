//! Verifying a backup.

pub(crate) mod completeness;
pub(crate) mod sampling;

use arc_backup_core::{Entry, Error as CoreError, Upload};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::manifest::{Inventory, InventoryFault, Record};
use crate::operations::Sample;
use crate::operations::context::Context;
use crate::operations::entries::to_core;
use crate::operations::verify::completeness::Then;
use crate::operations::verify::sampling::Run;
use crate::pipeline::{Reader, Writer};
use crate::repository::{BackupState, LastVerified, Loaded, Note, Turn};
use crate::{Error, Result};

/// How much of a backup is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VerifyMode {
    /// Every byte.
    Full,
    /// None: every file is there, with its size, and nothing else.
    Quick,
    /// A share of the files, 0.05 for a twentieth: those whose turn it is, so that samples in turn read all.
    Sample(f64),
}

impl VerifyMode {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
            Self::Sample(_) => "sample",
        }
    }

    fn then(self) -> Then {
        match self {
            Self::Quick => Then::Nothing,
            Self::Full | Self::Sample(_) => Then::Read,
        }
    }

    fn share(self) -> Option<f64> {
        match self {
            Self::Sample(share) => Some(share),
            Self::Full | Self::Quick => None,
        }
    }
}

/// Reads the manifest and inventory of the operation's backup, noting as a problem what is wrong with either.
/// Of the files only those in the `wanted` sections are looked for.
pub(crate) async fn load(
    context: &Context,
    wanted: &(dyn Fn(&str) -> bool + Sync),
    then: Then,
) -> Result<Option<(Loaded, Inventory)>> {
    let loaded = match context.repository.load(&context.id).await {
        Ok(loaded) => loaded,
        Err(Error::Damaged { detail, .. }) => {
            context.running.problem("manifest.json", "manifest", detail);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let inventory = match context
        .repository
        .inventory(&context.id, &loaded, context.scratch()?)
        .await
    {
        Ok(inventory) => inventory,
        Err(InventoryFault::Damaged(detail)) => {
            context.running.problem(
                "inventory.jsonl",
                "inventory",
                format!("inventory.jsonl {detail}"),
            );
            return Ok(None);
        }
        Err(InventoryFault::Other(error)) => return Err(error),
    };
    context
        .running
        .update(|operation| operation.has_checksums = Some(loaded.sealed));
    context.running.phase("checking");
    completeness::check(context, &inventory, wanted, then).await?;
    if loaded.sealed {
        completeness::check_counts(context, &loaded, &inventory)?;
    } else {
        completeness::check_arcs_counts(context, &loaded, &inventory)?;
    }
    Ok(Some((loaded, inventory)))
}

/// Verifies a backup: goes on after the first fault and names every one.
pub(crate) async fn run(context: &Context, mode: VerifyMode) -> Result<()> {
    let mut note = read_note(context).await;
    let run = match mode {
        VerifyMode::Sample(share) => Some(Run::of(turn(context, &note).await, share)),
        VerifyMode::Full | VerifyMode::Quick => None,
    };
    // One that did not come to its end says nothing of the backup.
    examine(context, mode, run.as_ref()).await?;
    note.add_verification(LastVerified {
        at: Timestamp::now().to_string(),
        mode: mode.name().to_owned(),
        ok: context.running.snapshot().problem_count == 0,
        operation_id: context.operation_id.to_string(),
        share: mode.share(),
        covered: run.as_ref().map(|run| run.covered),
    });
    let state = BackupState::of(&note);
    (context.running).update(|operation| operation.backup_state = Some(state));
    if let Some(run) = &run {
        note.sample = Some(run.next);
        context.running.update(|operation| {
            let sample = operation.sample.get_or_insert_default();
            sample.covered = Some(run.covered);
        });
    }
    if let Err(error) = keep_note(context, &note).await {
        let text = format!("that it was verified can't be noted in the target: {error}");
        context.warn(text);
    }
    context.failure("the backup does not verify")
}

/// The note of the backup; an empty one where there is none that can be read.
async fn read_note(context: &Context) -> Note {
    match context.repository.note(&context.id).await {
        Ok(note) => note.unwrap_or_default(),
        Err(error) => {
            context.warn(format!("the backup's note: {error}"));
            Note::default()
        }
    }
}

/// Whose turn it is. Where that can't be noted the samples draw, or each would read the same files.
async fn turn(context: &Context, note: &Note) -> Turn {
    let Err(error) = keep_note(context, note).await else {
        return note.sample.unwrap_or_default();
    };
    context.warn(format!(
        "which files were read can't be noted in the target: this sample was drawn, and samples may leave files out: {error}"
    ));
    Turn {
        next: sampling::position(&context.operation_id),
        covered: 0,
    }
}

async fn keep_note(context: &Context, note: &Note) -> Result<()> {
    match &context.lock {
        Some(lock) => lock.check().await?,
        None => return Err(Error::Failed("it can only be read".to_owned())),
    }
    context.repository.keep_note(&context.id, note).await
}

async fn examine(context: &Context, mode: VerifyMode, run: Option<&Run>) -> Result<()> {
    context.running.phase("reading the inventory");
    if let Some((loaded, inventory)) = load(context, &|_| true, mode.then()).await? {
        if !loaded.sealed {
            let text = "Arc itself made this backup: it has no checksums, only its counts could be checked";
            context.warn(text.to_owned());
        }
        read(context, &inventory, mode, run).await?;
        if !loaded.sealed && mode == VerifyMode::Full {
            check_databases(context, &inventory).await?;
        }
    }
    Ok(())
}

/// Opens the databases of a backup without checksums: SQLite's own check is what there is.
async fn check_databases(context: &Context, inventory: &Inventory) -> Result<()> {
    let reader = context.repository.reader(&context.id);
    for record in inventory.records()? {
        let record = record?;
        if record.section() != crate::source::METADATA || !record.path.ends_with(".db") {
            continue;
        }
        let entry = Entry::new(record.path.clone(), record.entry.size);
        let path = context.scratch()?.join("database");
        let copied = async {
            let mut pieces = crate::pipeline::pieces(reader.open(&entry).await?, &entry.key);
            let mut copy = crate::private::create_file(&path)
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
            context
                .running
                .problem(record.path.as_str(), "unreadable", error.detail());
        }
    }
    Ok(())
}

async fn read(
    context: &Context,
    inventory: &Inventory,
    mode: VerifyMode,
    run: Option<&Run>,
) -> Result<()> {
    let already: std::collections::HashSet<String> =
        (context.running.snapshot().problems.into_iter())
            .map(|problem| problem.path)
            .collect();
    let closed: Vec<String> = (already.iter().filter(|path| path.ends_with('/')))
        .cloned()
        .collect();
    let is_named = move |path: &str| {
        already.contains(path) || closed.iter().any(|folder| path.starts_with(folder))
    };
    let span = run.map(|run| run.span);
    let drawn = move |record: &Record| match span {
        Some(span) => span.holds(&record.path),
        None => mode == VerifyMode::Full,
    };
    let (mut files, mut bytes) = (0, 0);
    for record in inventory.records()? {
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
        // Looked at, and not read.
        context.running.progress.expect(files, 0);
        context.running.progress.add_files(files);
        return Ok(());
    }
    context.running.phase("reading");
    let records = inventory.records()?.filter_map(move |record| match record {
        Ok(record) if !drawn(&record) || is_named(&record.path) => None,
        // The engine's key is the whole path, or, for bytes in another backup, that backup's id before it.
        Ok(record) => Some(Ok(Entry {
            key: match &record.stored_in {
                Some(other) => match crate::repository::file_key(other, &record.path) {
                    Ok(key) => key,
                    Err(error) => return Some(Err(to_core(error))),
                },
                None => record.path,
            },
            ..record.entry
        })),
        Err(error) => Some(Err(to_core(error))),
    });
    let reader = context.repository.reader(&context.id);
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
            context.note(&outcome.entry.key, fault)?;
        }
    }
    context.check_cancelled()
}

/// Reads and hashes only.
pub(crate) struct NoWriter;

#[async_trait]
impl Writer for NoWriter {
    async fn begin(&self, _entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        Ok(None)
    }
}
