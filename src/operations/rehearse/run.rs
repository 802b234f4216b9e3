//! The steps of a rehearsal.
//!
//! A file is restored, opened and removed, one after the other: as many are in the scratch folder
//! as are copied at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arc_backup_core::{Entry, Scope, Section};
use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::manifest::{Inventory, Manifest, Record};
use crate::operations::backup::damaged_files::DamagedFiles;
use crate::operations::context::Context;
use crate::operations::disk::{Room, taken};
use crate::operations::entries::to_core;
use crate::operations::problems::Problems;
use crate::operations::rehearse::check::{Found, check};
use crate::operations::rehearse::options::RehearseOptions;
use crate::operations::rehearse::scratch_files::ScratchFiles;
use crate::operations::verify::check_for::{CheckFor, OnBadList};
use crate::operations::verify::load::load;
use crate::operations::verify::sampling::{self, Run};
use crate::operations::verify::{completeness, update_note};
use crate::operations::{Phase, ProblemKind, Sample};
use crate::pipeline::{CopyFault, Outcome};
use crate::repository::{LastVerified, Note, SampleCursor};
use crate::source::Contents;
use crate::{Error, Result};

/// The outcome of a rehearsal.
pub(crate) struct RehearseOutcome(Problems);

impl RehearseOutcome {
    /// Reports it.
    ///
    /// # Errors
    /// Where the backup can't be restored whole.
    pub(crate) fn report(self) -> Result<()> {
        self.0.failure("the backup can't be restored whole")
    }
}

/// Rehearses a restore, and records the result in the backup's note.
pub(crate) async fn run(context: &Context, options: RehearseOptions) -> Result<RehearseOutcome> {
    let mut problems = Problems::new(&context.running);
    examine(context, &mut problems, options).await?;
    // Files that are missing may have been deleted since the lease was lost.
    if let Err(error @ Error::Cancelled(_)) = context.check_lock().await {
        return Err(error);
    }
    let done = LastVerified {
        at: Timestamp::now().to_string(),
        mode: match options.share {
            Some(_) => "sample".to_owned(),
            None => "full".to_owned(),
        },
        ok: problems.is_empty(),
        operation_id: context.operation_id.to_string(),
        share: options.share,
        covered: None,
    };
    let noted = update_note(context, |note: &mut Note| {
        note.add_rehearsal(done.clone());
    });
    if let Err(error) = noted.await {
        context.warn(format!(
            "cannot record the result of the rehearsal in the target: {error}"
        ));
    }
    Ok(RehearseOutcome(problems))
}

async fn examine(
    context: &Context,
    problems: &mut Problems,
    options: RehearseOptions,
) -> Result<()> {
    context.running.phase(Phase::ReadingInventory);
    let (scope, fails) = (Scope::whole(), OnBadList::Fail);
    let loaded = load(context, problems, &scope, CheckFor::Reading, fails).await?;
    let Some((loaded, inventory)) = loaded else {
        return Ok(());
    };
    completeness::check_scope(problems, &loaded, &inventory)?;
    let span = options.share.map(|share| {
        let next = sampling::position(&context.operation_id);
        Run::new(SampleCursor { next, covered: 0 }, share).span
    });
    let is_drawn = move |record: &Record| {
        let is_data = record.section() == Section::Data;
        !is_data || span.is_none_or(|span| span.contains(&record.path))
    };
    expect(context, &inventory, options, &is_drawn)?;
    context.running.phase(Phase::Rehearsing);
    let damaged = problems.damaged();
    let records = inventory.records()?.filter_map(move |record| match record {
        Ok(record) if !is_drawn(&record) || damaged.contains(&record.path) => None,
        // The key is the whole path in the backup.
        Ok(record) => Some(Ok(Entry {
            key: record.path,
            ..record.entry
        })),
        Err(error) => Some(Err(to_core(error))),
    });
    let folder = context.scratch()?.join("rehearsal");
    crate::files::create_folder(&folder).map_err(|e| Error::io("create", &folder, e))?;
    let mut rehearsal = Rehearsal {
        problems,
        files: ScratchFiles(folder.clone()),
        damaged: DamagedFiles::default(),
        contents: Contents::default(),
    };
    let files = ScratchFiles(folder);
    let reader = context.repository.reader(&context.id, &inventory)?;
    let plan = context.plan();
    let mut copies = plan.run(stream::iter(records).boxed(), &reader, &files);
    let mut ended = Ok(());
    while ended.is_ok()
        && let Some(outcome) = copies.next().await
    {
        let handled = async { rehearsal.take(outcome?).await };
        ended = copies.beside(handled).await;
    }
    copies.stop().await;
    ended?;
    context.check_cancelled()?;
    rehearsal.damaged.report(context);
    // Files that can't be restored are named already.
    if options.share.is_none() && rehearsal.problems.is_empty() {
        compare(rehearsal.problems, &loaded.manifest, &rehearsal.contents);
    }
    Ok(())
}

/// Counts what is to be restored, and checks that the files that are in the scratch folder at the
/// same time have room there.
fn expect(
    context: &Context,
    inventory: &Inventory,
    options: RehearseOptions,
    is_drawn: &dyn Fn(&Record) -> bool,
) -> Result<()> {
    // Those that are copied, and the one that is opened.
    let at_once = context.plan().concurrency + 1;
    let mut largest = BinaryHeap::new();
    let (mut files, mut bytes) = (0, 0);
    for record in inventory.records()? {
        let record = record?;
        let size = record.entry.size;
        files += 1;
        bytes += size;
        if is_drawn(&record) {
            context.running.progress.expect(1, size);
            largest.push(Reverse(size));
            if largest.len() > at_once {
                largest.pop();
            }
        }
    }
    if let Some(share) = options.share {
        context.running.update(|operation| {
            operation.sample = Some(Sample {
                share,
                of_files: files,
                of_bytes: bytes,
                covered: None,
            });
        });
    }
    let count = largest.len() as u64;
    let sum = largest.into_iter().map(|Reverse(size)| size).sum();
    let needed = taken(count, sum);
    let folder = context.scratch()?;
    match Room::at(folder) {
        Ok(Some(room)) if room.free_bytes < needed => Err(Error::Failed(format!(
            "no room to rehearse in {}: the {count} largest files of the backup need {needed} bytes \
             and {} are free; free some, or set backup.state_path to a folder with more room",
            folder.display(),
            room.free_bytes
        ))),
        _ => Ok(()),
    }
}

/// The rows of each measurement must be those that the manifest says.
fn compare(problems: &mut Problems, manifest: &Manifest, contents: &Contents) {
    let found = contents.databases();
    for says in &manifest.databases {
        let restored = found.iter().find(|one| one.name == says.name);
        for measurement in &says.measurements {
            let rows = restored
                .and_then(|one| (one.measurements.iter()).find(|one| one.name == measurement.name))
                .and_then(|one| one.rows);
            if let Some(expected) = measurement.rows
                && rows != Some(expected)
            {
                let text = format!(
                    "it says {expected} rows of `{}/{}`; {} were restored",
                    says.name,
                    measurement.name,
                    rows.unwrap_or_default()
                );
                problems.add("manifest.json", ProblemKind::Manifest, text);
            }
        }
    }
}

struct Rehearsal<'a> {
    problems: &'a mut Problems,
    files: ScratchFiles,
    damaged: DamagedFiles,
    /// What was restored, with the rows of files of which the inventory has them too.
    contents: Contents,
}

impl Rehearsal<'_> {
    /// Opens a restored file, and removes it.
    async fn take(&mut self, outcome: Outcome) -> Result<()> {
        let path = outcome.entry.key.clone();
        if let Some(fault) = &outcome.fault {
            if let Some(error) = completeness::archived_fault(&path, fault) {
                return Err(error);
            }
            if let CopyFault::Write(error) = fault {
                return Err(self.files.failed(error));
            }
            self.problems.add_fault(&path, fault)?;
            return Ok(());
        }
        let mut record = Record::at(path, outcome.entry)?;
        let place = self.files.place(&record.path);
        let checking = record.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let found = check(&checking, &place);
            // With it what SQLite made beside it.
            for suffix in ["", "-wal", "-shm", "-journal"] {
                let _ = std::fs::remove_file(crate::files::with_suffix(&place, suffix));
            }
            found
        });
        let is_known = record.entry.rows.is_some();
        let found = checked.await?;
        match found.map_err(|error| self.files.failed(&error))? {
            Found::Fault(kind, text) => self.problems.add_damaged(&record.path, kind, text),
            Found::Damaged(damage) => {
                record.entry.damage = Some(damage);
                self.damaged.add(&record);
            }
            Found::Sound(rows) => record.entry.rows = rows.filter(|_| is_known),
        }
        if record.section() == Section::Data {
            self.contents.add(&record.entry);
        }
        Ok(())
    }
}
