//! What a restore does before the first live change: staging what will change, and reading what will not.

use std::collections::HashMap;
use std::sync::Arc;

use arc_backup_core::{
    Body, Discard, Discarded, Entry, EntryStream, Error as CoreError, ExtraFiles,
    InvalidOperationId, Key, OperationId, Restore, Source, Staging, Upload,
};
use async_trait::async_trait;
use futures::StreamExt;

use crate::config::Settings;
use crate::manifest::{BackupId, Inventory, Record};
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::entries::{left_out, section_entries};
use crate::operations::problems::Problems;
use crate::operations::restore::damaged::{damaged_keys, whole_entries};
use crate::operations::restore::disk_space::check_room;
use crate::operations::restore::marker::{
    Mark, check_covers_interrupted, keeps_staged, marker_path, remove_marker, state_marker,
};
use crate::operations::restore::plan::RestorePlan;
use crate::operations::restore::time_needed::check_time;
use crate::operations::restore::{ExtraFilesPolicy, RestoreOptions};
use crate::operations::verify::completeness::archived_fault;
use crate::operations::verify::no_writer::NoWriter;
use crate::pipeline::{Reader, Writer};
use crate::repository::BackupReader;
use crate::source;
use crate::{Error, Result};

/// Removes what interrupted restores staged, before a backup: but for what the next restore of the
/// same backup can use, for some days.
pub(crate) async fn discard_old_staged(context: &Context, is_interrupted: bool) -> Result<()> {
    let is_there = is_interrupted || marker_path(&context.settings).exists();
    if is_there && !keeps_staged(&context.settings) {
        discard_all_staged(&context.settings, &context.sources, Discard::Remove)
            .await?
            .whole()?;
    }
    Ok(())
}

/// Removes what interrupted restores staged, but for data that this one may use. A marker of one
/// that had begun to change live data stays: only a restore ends it.
pub(crate) async fn discard_staged(context: &Context, mark: &Mark<'_>) -> Result<()> {
    if mark.resumes_staging() {
        let others = (context.sources.iter()).filter(|source| source.section() != source::DATA);
        for source in others {
            source.discard_unfinished(Discard::Remove).await?.whole()?;
        }
    } else if mark.goes_on() || marker_path(&context.settings).exists() {
        discard_all_staged(&context.settings, &context.sources, Discard::Remove)
            .await?
            .whole()?;
    }
    Ok(())
}

/// The same, or counts it; also where no marker says that there is any, which takes a walk through the data.
pub(crate) async fn discard_all_staged(
    settings: &Settings,
    sources: &[Arc<dyn Source>],
    discard: Discard,
) -> Result<Discarded> {
    let mut discarded = Discarded::default();
    for source in sources {
        discarded.add(source.discard_unfinished(discard).await);
    }
    if discard == Discard::Remove && discarded.faults.is_empty() && state_marker(settings).is_none()
    {
        remove_marker(settings)?;
    }
    Ok(discarded)
}

/// One source that takes part.
pub(crate) struct Part {
    pub(crate) section: String,
    pub(crate) restore: Box<dyn Restore>,
    /// Files whose bytes are needed, and those bytes.
    needed: (u64, u64),
    /// Whether live files that the backup does not hold stay.
    keeps_extra: bool,
}

impl Part {
    /// Whether Arc must be restarted to see what it restores: it holds databases and configuration in
    /// memory.
    pub(crate) fn needs_restart(&self) -> bool {
        [source::METADATA, source::CONFIG].contains(&self.section.as_str())
    }

    /// Whether something of the data storage may be written, moved or removed for it.
    pub(crate) fn changes_data(&self) -> bool {
        let is_data = ![source::METADATA, source::CONFIG].contains(&self.section.as_str());
        is_data && (self.needed.0 > 0 || !self.keeps_extra)
    }
}

/// Plans what each source has to change, stages it, and verifies that and the rest.
pub(crate) async fn stage(
    context: &Context,
    problems: &mut Problems,
    options: &RestoreOptions,
    inventory: &Inventory,
    mark: &Mark<'_>,
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
                 made it, or without data (restore_data = false, --no-data)"
            )));
        }
    }
    check_covers_interrupted(mark, &order)?;
    if !mark.goes_on() {
        let sections: Vec<_> = order.iter().map(|section| (*section).clone()).collect();
        mark.staging(&sections)?;
    }
    let mut rooms = Vec::new();
    let mut staged_bytes = 0;
    let mut plan = RestorePlan::new(options.extra_files);
    let damaged = problems.damaged();
    for record in inventory.records()? {
        let record = record?;
        let is_wanted = order.iter().any(|section| *section == record.section());
        if is_wanted && !damaged.contains(&record.path) {
            context.running.progress.expect(1, record.entry.size);
        }
    }
    for section in &order {
        let Some(source) =
            (context.sources.iter()).find(|source| source.section() == section.as_str())
        else {
            continue;
        };
        let staging = Staging {
            untouched: damaged_keys(problems, inventory, section)?,
            ..staging(context, options, mark)?
        };
        let restore = source.restore(staging).await?;
        let entries = whole_entries(problems, inventory, section)?;
        let summary = restore.plan(entries).await?;
        plan.add(&summary);
        staged_bytes += summary.staged_bytes;
        rooms.extend(summary.room);
        parts.push(Part {
            section: (*section).clone(),
            restore,
            needed: (summary.needed_files, summary.needed_bytes),
            keeps_extra: options.extra_files == ExtraFilesPolicy::Keep,
        });
    }
    context
        .running
        .update(|operation| operation.plan = Some(plan));
    check_room(&rooms)?;
    let [_, total_bytes, _, done_bytes] = context.running.progress.counts();
    let bytes = total_bytes.saturating_sub(done_bytes + staged_bytes);
    check_time(context, bytes).await?;
    context.running.phase(Phase::Staging);
    // Small things first: a database or configuration that can't be restored is known before the data is copied.
    for part in parts.iter().rev() {
        // A storage that can't stage has its turn when all else is staged.
        if !part.restore.changes_while_staging() {
            copy_part(context, problems, inventory, part, STAGING_FAILED).await?;
        }
    }
    context.running.phase(Phase::Verifying);
    // Without what is damaged, all was read before it was planned.
    for part in parts.iter().filter(|_| !options.skip_damaged) {
        // What was staged is verified; what can't be is verified as it is written, unless that is too late.
        let all = options.verify_first && part.restore.changes_while_staging();
        verify_before(context, problems, inventory, part, all).await?;
    }
    for part in parts.iter() {
        part.restore.ready().await?;
    }
    Ok(())
}

fn staging(context: &Context, options: &RestoreOptions, mark: &Mark<'_>) -> Result<Staging> {
    Ok(Staging {
        operation_id: context.operation_id.clone(),
        stage: mark.stage(),
        resumes: mark.resumes_staging(),
        scratch: context.scratch()?.to_owned(),
        cancel: context.running.cancel.clone(),
        activity: context.running.progress.activity().clone(),
        extra_files: policy(options.extra_files),
        aside: Some((
            context.repository.target_sink().clone(),
            crate::repository::own("before-restore"),
        )),
        earlier: (mark.earlier().into_iter())
            .map(|run| {
                let id = OperationId::parse(&run.operation_id)
                    .map_err(InvalidOperationId::into_error)?;
                Ok((id, policy(run.extra_files)))
            })
            .collect::<Result<_, CoreError>>()?,
        untouched: Arc::default(),
    })
}

pub(crate) fn policy(policy: ExtraFilesPolicy) -> ExtraFiles {
    match policy {
        ExtraFilesPolicy::SetAside => ExtraFiles::SetAside,
        ExtraFilesPolicy::Keep => ExtraFiles::Keep,
        ExtraFilesPolicy::Remove => ExtraFiles::Remove,
    }
}

/// Where the files of a section lie that another backup holds.
fn stored_elsewhere(inventory: &Inventory, section: &str) -> Result<HashMap<Key, BackupId>> {
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

const STAGING_FAILED: &str = "the backup could not be read or staged";
pub(crate) const COPYING_FAILED: &str =
    "the backup could not be read or written, and a part of it is live";

pub(crate) async fn copy_part(
    context: &Context,
    problems: &mut Problems,
    inventory: &Inventory,
    part: &Part,
    failed: &str,
) -> Result<()> {
    let reader = PartReader::new(context, inventory, &part.section)?;
    let writer = PartWriter(&*part.restore);
    let plan = context.plan();
    let entries = not_staged_yet(context, part, plan.concurrency);
    let mut copies = plan.run(entries, &reader, &writer);
    let mut ended = Ok(());
    while ended.is_ok()
        && let Some(outcome) = copies.next().await
    {
        let handled = async {
            let outcome = outcome?;
            let Some(fault) = &outcome.fault else {
                return Ok(part.restore.staged(&outcome.entry).await?);
            };
            let path = format!("{}/{}", part.section, outcome.entry.key);
            if let Some(error) = archived_fault(&path, fault) {
                return Err(error);
            }
            problems.add_fault(&path, fault)?;
            problems.failure(failed)
        };
        ended = copies.beside(handled).await;
    }
    copies.stop().await;
    ended?;
    context.check_cancelled()
}

/// What a part needs, without what an interrupted restore of the same backup has staged.
fn not_staged_yet<'a>(context: &'a Context, part: &'a Part, at_once: usize) -> EntryStream<'a> {
    let restore = &*part.restore;
    let looked_for = restore.needed().map(move |entry| async move {
        let entry = entry?;
        if !restore.take_staged(&entry).await? {
            return Ok(Some(entry));
        }
        context.running.progress.add_files(1);
        context.running.progress.add_bytes(entry.size);
        context.running.update(|operation| {
            *operation.reused_files.get_or_insert(0) += 1;
            *operation.reused_bytes.get_or_insert(0) += entry.size;
        });
        Ok::<_, CoreError>(None)
    });
    let left = looked_for.buffered(at_once);
    left.filter_map(|entry| std::future::ready(entry.transpose()))
        .boxed()
}

/// Reads the files of the backup that are live already, or `all`: `completed` speaks for the whole backup, and a file that
/// is damaged in it is known while there is still a good one.
async fn verify_before(
    context: &Context,
    problems: &mut Problems,
    inventory: &Inventory,
    part: &Part,
    all: bool,
) -> Result<()> {
    let reader = PartReader::new(context, inventory, &part.section)?;
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
    let mut copies = plan.run(entries, &reader, &NoWriter);
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

/// Reads the files of one section, wherever they are stored.
pub(crate) struct PartReader<'a> {
    context: &'a Context,
    section: &'a str,
    elsewhere: HashMap<Key, BackupId>,
}

impl<'a> PartReader<'a> {
    pub(crate) fn new(
        context: &'a Context,
        inventory: &Inventory,
        section: &'a str,
    ) -> Result<Self> {
        Ok(Self {
            context,
            section,
            elsewhere: stored_elsewhere(inventory, section)?,
        })
    }

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
