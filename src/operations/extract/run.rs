//! The steps of an extraction.

use std::fs::File;
use std::path::{Path, PathBuf};

use arc_backup_core::Section;

use super::folder_writer::FolderWriter;
use super::options::ExtractOptions;
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::copy::Source;
use crate::operations::entries::{section_entries, section_records};
use crate::operations::problems::Problems;
use crate::operations::verify::completeness::archived_fault;
use crate::pipeline::Outcome;
use crate::{Error, Result};

/// Writes the files in scope below the folder. One that is damaged in the backup is a problem, and
/// the others are written.
pub(crate) async fn run(context: &Context, options: &ExtractOptions) -> Result<()> {
    context.running.phase(Phase::ReadingInventory);
    let source = Source::read(context, &context.repository).await?;
    let sections: Vec<Section> = (source.inventory.sections())
        .filter(|section| options.scope.includes(section))
        .cloned()
        .collect();
    let (mut files, mut bytes) = (0_u64, 0_u64);
    for section in &sections {
        for record in section_records(&source.inventory, section, &options.scope)? {
            context.check_cancelled()?;
            files += 1;
            bytes += record?.entry.size;
        }
    }
    context.running.progress.expect(files, bytes);
    context.running.phase(Phase::Copying);
    let to = &options.to;
    crate::files::create_folder(to).map_err(|e| Error::io("create", to, e))?;
    let lock = FolderLock::new(to)?;
    let mut problems = Problems::new(&context.running);
    for section in &sections {
        let extracted = extract(context, &source, options, section, &mut problems).await;
        extracted.map_err(|error| {
            let text = "the files that were extracted so far are right, and stay in";
            error.context(format!("{text} `{}`", to.display()))
        })?;
    }
    drop(lock);
    problems.failure(&format!(
        "not every file could be extracted: those that are in `{}` are right, and the others are missing there",
        to.display()
    ))
}

/// A file in the folder while an extraction writes there: two at once would mix their files.
struct FolderLock(PathBuf);

impl FolderLock {
    fn new(folder: &Path) -> Result<Self> {
        let path = folder.join(".arc-backup-extract.tmp");
        match File::create_new(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(in_use(folder));
            }
            Err(error) => return Err(Error::io("create", &path, error)),
        }
        let lock = Self(path);
        let children = std::fs::read_dir(folder).map_err(|e| Error::io("list", folder, e))?;
        // Another one may have begun and ended since the folder was looked at.
        match children.count() {
            1 => Ok(lock),
            _ => Err(in_use(folder)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "a temporary file is left");
        }
    }
}

fn in_use(folder: &Path) -> Error {
    Error::Failed(format!(
        "another extraction writes, or has written, to `{}`: extract to another folder",
        folder.display()
    ))
}

async fn extract(
    context: &Context,
    source: &Source,
    options: &ExtractOptions,
    section: &Section,
    problems: &mut Problems,
) -> Result<()> {
    let reader = (source.repository.reader(&context.id, &source.inventory)?).section(section);
    let writer = FolderWriter {
        folder: options.to.join(section.as_str()),
        section,
    };
    let entries = section_entries(&source.inventory, section, &options.scope)?;
    let plan = context.plan();
    let mut copies = plan.run(entries, &reader, &writer);
    let mut ended = Ok(());
    while ended.is_ok()
        && let Some(outcome) = copies.next().await
    {
        ended = match outcome {
            Ok(outcome) => handle(source, section, outcome, problems),
            Err(error) => Err(error.into()),
        };
    }
    copies.stop().await;
    ended?;
    context.check_cancelled()
}

fn handle(
    source: &Source,
    section: &Section,
    outcome: Outcome,
    problems: &mut Problems,
) -> Result<()> {
    let Some(fault) = outcome.fault else {
        return Ok(());
    };
    let path = format!("{section}/{}", outcome.entry.key);
    if let Some(error) = archived_fault(&path, &fault) {
        return Err(source.repository.named(error));
    }
    match problems.add_fault(&path, &fault)? {
        true => Ok(()),
        false => problems.failure("a file could not be written"),
    }
}
