//! Restoring a backup.
//!
//! Everything is checked, and every file that will change is staged and verified, before the first live byte
//! changes. From then on a marker in the state folder says what is going on, and running the same restore again
//! completes it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_backup_core::{
    Body, Entry, EntryStream, Error as CoreError, ErrorKind, ExtraFiles, Restore, RestoreSummary,
    Source, Staging, Upload,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::backup::to_core;
use super::context::Context;
use super::marker::{
    APPLYING, check_covers_interrupted, marker, marker_path, remove_marker, write_marker,
};
use super::room::check_room;
use super::verify::{self, NoWriter};
use crate::config::Settings;
use crate::manifest::{BackupId, Inventory, Record};
use crate::pipeline::{Reader, Writer};
use crate::repository::BackupReader;
use crate::source;
use crate::{Error, Result};

/// What becomes of live files that the backup does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, poem_openapi::Enum, clap::ValueEnum)]
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
        }
    }
}

impl RestoreOptions {
    fn includes(&self, section: &str) -> bool {
        match section {
            source::DATA => self.data,
            source::METADATA => self.metadata,
            source::CONFIG => self.config,
            // A section of a third party is data.
            _ => self.data,
        }
    }
}

/// Removes what interrupted restores staged. A marker of one that had begun to change live data stays: only a restore ends it.
pub(super) async fn discard_staged(
    settings: &Settings,
    sources: &[Arc<dyn Source>],
) -> Result<u64> {
    if !marker_path(settings).exists() {
        return Ok(0);
    }
    let mut count = 0;
    for source in sources {
        count += source.discard_unfinished().await?;
    }
    if marker(settings).is_none() {
        remove_marker(settings)?;
    }
    Ok(count)
}

/// One source that takes part.
struct Part {
    section: String,
    restore: Box<dyn Restore>,
    /// Files whose bytes are needed, and those bytes.
    needed: (u64, u64),
}

pub(super) async fn run(context: &Context, options: &RestoreOptions) -> Result<()> {
    context.running.phase("checking");
    discard_staged(&context.settings, &context.sources).await?;
    let loaded = verify::load(context, &|section| options.includes(section)).await?;
    context.failure("the backup is not whole, nothing was changed")?;
    let Some((loaded, inventory)) = loaded else {
        return Err(Error::Failed("the backup can't be read".to_owned()));
    };
    if loaded.manifest.missing_files > 0 && options.extra_files == ExtraFilesPolicy::Remove {
        // What it lacks may be live still.
        return Err(Error::Invalid(
            "an incomplete copy lacks files that may be live: extra_files = remove would remove those; nothing was changed"
                .to_owned(),
        ));
    }
    if loaded.manifest.missing_files > 0 {
        let sample: Vec<_> = (loaded.manifest.missing.iter().take(3))
            .map(|missing| missing.path.as_str())
            .collect();
        let more = match loaded.manifest.missing_files > sample.len() as u64 {
            true => ", …",
            false => "",
        };
        context.warn(format!(
            "this is an incomplete copy: it lacks {} files that could not be read ({}{more})",
            loaded.manifest.missing_files,
            sample.join(", ")
        ));
    }
    let was_applying = marker(&context.settings).is_some();
    let mut parts = Vec::new();
    let staged = stage(context, options, &inventory, &mut parts).await;
    if let Err(error) = staged {
        context.running.phase("cleaning up");
        let mut cleaned = true;
        for part in &parts {
            if let Err(error) = part.restore.abort().await {
                cleaned = false;
                tracing::warn!(%error, section = part.section, "what was staged is removed by the next restore");
            }
        }
        if was_applying {
            return Err(error);
        }
        if cleaned {
            remove_marker(&context.settings)?;
        }
        return Err(match error {
            Error::Storage(fault) if fault.kind() == ErrorKind::Cancelled => fault.into(),
            Error::Storage(_) | Error::Failed(_) => {
                let text = error.to_string();
                match text.contains("nothing was changed") {
                    true => error,
                    false => Error::Failed(format!("{text}; nothing was changed")),
                }
            }
            other => other,
        });
    }
    context.running.phase(APPLYING);
    let sections: Vec<_> = parts.iter().map(|part| part.section.clone()).collect();
    write_marker(context, APPLYING, &sections, &[])?;
    for (done, part) in parts.iter().enumerate() {
        let applied = async {
            if part.restore.changes_while_staging() {
                copy_part(context, &inventory, part, COPYING_FAILED).await?;
            }
            part.restore.apply().await.map_err(Error::from)
        };
        let applied = applied.await;
        if applied.is_err()
            && let Some((files, location)) = part.restore.set_aside_so_far()
        {
            context.running.update(|operation| {
                operation.set_aside_files = Some(files);
                operation.set_aside_location = Some(location);
            });
        }
        // Also where it failed half-way: what Arc holds in memory is no longer what is there.
        if [source::METADATA, source::CONFIG].contains(&part.section.as_str()) {
            context
                .running
                .update(|operation| operation.restart_required = Some(true));
        }
        applied.map_err(|error| {
            Error::Failed(format!("{error}; the live data is partly restored: run the same restore again to complete it"))
        })?;
        // That a full disk can't keep this is no reason to leave the rest undone.
        if let Err(error) = write_marker(context, APPLYING, &sections, &sections[..=done]) {
            tracing::warn!(%error, "what is restored so far is not noted");
        }
    }
    context.running.phase("checking what was restored");
    // The data last: with `extra_files = remove` its end is the removal of what was set aside.
    for part in parts.iter().rev() {
        let summary = part.restore.finish().await?;
        report(context, &summary);
        context.failure("what was restored is not as it should be")?;
    }
    context
        .running
        .update(|operation| _ = operation.restart_required.get_or_insert(false));
    remove_marker(&context.settings)
}

/// Everything up to the first live change.
async fn stage(
    context: &Context,
    options: &RestoreOptions,
    inventory: &Inventory,
    parts: &mut Vec<Part>,
) -> Result<()> {
    let id = &context.id;
    let mut sections = std::collections::BTreeSet::new();
    for record in inventory.records()? {
        sections.insert(record?.section().to_owned());
    }
    let mut order: Vec<&String> = sections
        .iter()
        .filter(|section| options.includes(section))
        .collect();
    let data = source::DATA.to_owned();
    if options.data && !sections.contains(source::DATA) {
        // The state of such a backup is that no data file is live.
        order.push(&data);
        context.warn(format!(
            "backup `{id}` holds no data files: after this restore there are none"
        ));
    }
    // The order in which they are put into force: data, what others added, databases, configuration.
    order.sort_by_key(|section| match section.as_str() {
        source::DATA => 0,
        source::METADATA => 2,
        source::CONFIG => 3,
        _ => 1,
    });
    for (wanted, section) in [
        (options.metadata, source::METADATA),
        (options.config, source::CONFIG),
    ] {
        if wanted && !sections.contains(section) {
            context.warn(format!(
                "backup `{id}` holds no {section}: none was restored"
            ));
        }
    }
    for section in &order {
        if !context
            .sources
            .iter()
            .any(|source| source.section() == section.as_str())
        {
            return Err(Error::Failed(format!(
                "backup `{id}` has a section `{section}` that this program has no source for: restore with the program that \
                 made it, or without data (restore_data = false, --no-data); nothing was changed"
            )));
        }
    }
    check_covers_interrupted(context, &order)?;
    if marker(&context.settings).is_none() {
        let sections: Vec<_> = order.iter().map(|section| (*section).clone()).collect();
        write_marker(context, "staging", &sections, &[])?;
    }
    let mut rooms = Vec::new();
    for record in inventory.records()? {
        let record = record?;
        if order.iter().any(|section| *section == record.section()) {
            context.running.progress.expect(1, record.entry.size);
        }
    }
    for section in &order {
        let Some(source) =
            (context.sources.iter()).find(|source| source.section() == section.as_str())
        else {
            continue;
        };
        let restore = source.restore(staging(context, options)?).await?;
        let summary = restore.plan(section_entries(inventory, section)?).await?;
        rooms.extend(summary.room);
        parts.push(Part {
            section: (*section).clone(),
            restore,
            needed: (summary.needed_files, summary.needed_bytes),
        });
    }
    check_room(&rooms)?;
    context.running.phase("staging");
    // Small things first: a database or configuration that can't be restored is known before the data is copied.
    for part in parts.iter().rev() {
        // A storage that can't stage has its turn when all else is staged.
        if !part.restore.changes_while_staging() {
            copy_part(context, inventory, part, STAGING_FAILED).await?;
        }
    }
    context.running.phase("verifying");
    for part in parts.iter() {
        // What was staged is verified; what can't be is verified as it is written, unless that is too late.
        let all = options.verify_first && part.restore.changes_while_staging();
        verify_before(context, inventory, part, all).await?;
    }
    for part in parts.iter() {
        part.restore.ready().await?;
    }
    context.check_cancelled()?;
    // The next step changes what is live: nobody else may be at this backup meanwhile.
    context.check_lock().await
}

fn staging(context: &Context, options: &RestoreOptions) -> Result<Staging> {
    Ok(Staging {
        operation_id: context.operation_id.clone(),
        scratch: context.scratch()?.to_owned(),
        cancel: context.running.cancel.clone(),
        extra_files: match options.extra_files {
            ExtraFilesPolicy::SetAside => ExtraFiles::SetAside,
            ExtraFilesPolicy::Keep => ExtraFiles::Keep,
            ExtraFilesPolicy::Remove => ExtraFiles::Remove,
        },
        aside: Some((
            context.repository.target_sink().clone(),
            crate::repository::own(&format!("before-restore/{}", context.operation_id)),
        )),
    })
}

fn section_entries(inventory: &Inventory, section: &str) -> Result<EntryStream<'static>> {
    let section = section.to_owned();
    let records = inventory.records()?.filter_map(move |record| match record {
        Ok(record) if record.section() == section => Some(Ok(record.entry)),
        Ok(_) => None,
        Err(error) => Some(Err(to_core(error))),
    });
    Ok(stream::iter(records).boxed())
}

/// Where the files of a section lie that another backup holds.
fn stored_elsewhere(
    inventory: &Inventory,
    section: &str,
) -> Result<HashMap<arc_backup_core::Key, BackupId>> {
    let mut elsewhere = HashMap::new();
    for record in inventory.records()? {
        let Record {
            entry,
            stored_in,
            path,
        } = record?;
        if let Some(other) = stored_in
            && path.starts_with(&format!("{section}/"))
        {
            elsewhere.insert(entry.key, other);
        }
    }
    Ok(elsewhere)
}

const STAGING_FAILED: &str = "the backup could not be read or staged, nothing was changed";
const COPYING_FAILED: &str = "the backup could not be read or written, and a part of it is live";

async fn copy_part(
    context: &Context,
    inventory: &Inventory,
    part: &Part,
    failed: &str,
) -> Result<()> {
    let reader = PartReader {
        context,
        section: &part.section,
        elsewhere: stored_elsewhere(inventory, &part.section)?,
    };
    let writer = PartWriter(&*part.restore);
    let plan = context.plan();
    let mut outcomes = plan.run(part.restore.needed(), &reader, &writer);
    let ended = async {
        while let Some(outcome) = outcomes.next().await {
            let outcome = outcome?;
            match &outcome.fault {
                None => part.restore.staged(&outcome.entry).await?,
                Some(fault) => {
                    context.note(&format!("{}/{}", part.section, outcome.entry.key), fault)?;
                    return context.failure(failed);
                }
            }
        }
        Ok(())
    };
    let ended = ended.await;
    plan.stop(outcomes).await;
    ended
}

/// Reads the files of the backup that are live already, or `all`: `completed` speaks for the whole backup, and a file that
/// is damaged in it is known while there is still a good one.
async fn verify_before(
    context: &Context,
    inventory: &Inventory,
    part: &Part,
    all: bool,
) -> Result<()> {
    let reader = PartReader {
        context,
        section: &part.section,
        elsewhere: stored_elsewhere(inventory, &part.section)?,
    };
    let entries = section_entries(inventory, &part.section)?;
    let entries = if all {
        // These are read once more when they are written.
        context
            .running
            .progress
            .expect(part.needed.0, part.needed.1);
        entries
    } else {
        left_out(entries, part.restore.needed())
    };
    let plan = context.plan();
    let mut outcomes = plan.run(entries, &reader, &NoWriter);
    while let Some(outcome) = outcomes.next().await {
        let outcome = outcome?;
        if let Some(fault) = &outcome.fault {
            context.note(&format!("{}/{}", part.section, outcome.entry.key), fault)?;
        }
    }
    context.failure("the backup is not whole, nothing was changed")
}

/// The entries of `all` that `some` does not have; both in byte order.
pub(super) fn left_out<'a>(all: EntryStream<'a>, some: EntryStream<'a>) -> EntryStream<'a> {
    stream::unfold(
        (all, some.fuse(), None),
        |(mut all, mut some, mut other)| async move {
            loop {
                let entry = match all.next().await? {
                    Ok(entry) => entry,
                    error => return Some((error, (all, some, other))),
                };
                while other
                    .as_ref()
                    .is_none_or(|other: &Entry| other.key < entry.key)
                {
                    match some.next().await {
                        Some(Ok(next)) => other = Some(next),
                        Some(error) => return Some((error, (all, some, other))),
                        None => break,
                    }
                }
                if other.as_ref().is_none_or(|other| other.key != entry.key) {
                    return Some((Ok(entry), (all, some, other)));
                }
            }
        },
    )
    .boxed()
}

struct PartReader<'a> {
    context: &'a Context,
    section: &'a str,
    elsewhere: HashMap<arc_backup_core::Key, BackupId>,
}

impl PartReader<'_> {
    fn of(&self, entry: &Entry) -> BackupReader {
        let id = self.elsewhere.get(&entry.key).unwrap_or(&self.context.id);
        self.context.repository.reader(id).section(self.section)
    }
}

#[async_trait]
impl Reader for PartReader<'_> {
    async fn open(&self, entry: &Entry) -> Result<Body, CoreError> {
        self.of(entry).open(entry).await
    }

    async fn open_again(&self, entry: &Entry) -> Result<Body, CoreError> {
        self.of(entry).open_again(entry).await
    }
}

struct PartWriter<'a>(&'a dyn Restore);

#[async_trait]
impl Writer for PartWriter<'_> {
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, CoreError> {
        self.0.begin(entry).await.map(Some)
    }
}

fn report(context: &Context, summary: &RestoreSummary) {
    for (path, detail) in &summary.problems {
        context
            .running
            .problem(path.as_str(), "unexpected", detail.as_str());
    }
    context.running.update(|operation| {
        operation.warnings.extend(summary.warnings.iter().cloned());
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
