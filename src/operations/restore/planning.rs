//! Planning a restore: what each source has to change. Writes nothing outside the scratch folder.

use std::sync::Arc;

use arc_backup_core::{
    Error as CoreError, InvalidOperationId, OperationId, Section, StagedBefore, Staging,
};

use crate::config::Warehouse;
use crate::manifest::Inventory;
use crate::operations::context::Context;
use crate::operations::entries::section_records;
use crate::operations::problems::Problems;
use crate::operations::restore::damaged::{damaged_keys, whole_entries};
use crate::operations::restore::disk_space::check_room;
use crate::operations::restore::marker::RestoreMarker;
use crate::operations::restore::no_files::check_has_files;
use crate::operations::restore::plan::RestorePlan;
use crate::operations::restore::restored_section::RestoredSection;
use crate::operations::restore::saved_plan;
use crate::operations::restore::time_needed::check_time;
use crate::operations::restore::untouched::ToRestore;
use crate::operations::restore::{ExtraFilesPolicy, RestoreOptions};
use crate::repository::own;
use crate::source::{ICEBERG, section_of};
use crate::{Error, Result};

/// The sections of a backup that are restored, in the order in which they are. A backup without
/// data files has the section `data` all the same: its state is that no data file is live.
pub(crate) fn sections_to_restore(inventory: &Inventory, options: &RestoreOptions) -> Vec<Section> {
    let mut sections: Vec<_> = (inventory.sections())
        .filter(|section| options.includes(section))
        .cloned()
        .collect();
    if options.includes(&Section::Data) && !sections.contains(&Section::Data) {
        sections.push(Section::Data);
    }
    sections.sort_by_key(Section::restore_order);
    sections
}

/// Warns of sections that were asked for and are not in the backup, and of an Iceberg warehouse
/// that has no place here. Returns the sections that are restored.
///
/// # Errors
/// Where another section has no source.
pub(crate) fn check_sections(
    context: &Context,
    options: &RestoreOptions,
    inventory: &Inventory,
    mut sections: Vec<Section>,
) -> Result<Vec<Section>> {
    let id = &context.id;
    let is_empty = |section: &Section| inventory.totals_of(section).0 == 0;
    if let Some(warning) = check_has_files(id, options, inventory)? {
        context.warn(warning);
    }
    for (wanted, section) in [
        (options.includes(&Section::Metadata), Section::Metadata),
        (options.includes(&Section::Config), Section::Config),
    ] {
        if wanted && is_empty(&section) {
            context.warn(format!(
                "backup `{id}` holds no {section}: none was restored"
            ));
        }
    }
    let has_source = |section: &Section| {
        let mut sources = context.sources.iter();
        sources.any(|source| section_of(&**source) == *section)
    };
    let iceberg = Section::Other(ICEBERG.to_owned());
    if let Some(new) = &context.new_instance {
        // Its parts are those that every instance has.
        let (kept, others) = sections
            .into_iter()
            .partition(|section| has_source(section));
        sections = kept;
        for section in &others {
            context.warn(format!(
                "section `{section}` of backup `{id}` ({} files) was not restored into {}: use `arc-backup extract`",
                inventory.totals_of(section).0,
                new.place()
            ));
        }
    }
    if sections.contains(&iceberg) && !has_source(&iceberg) {
        // Its tables' rows are data, and are restored. The backup still has the metadata.
        sections.retain(|section| *section != iceberg);
        let settings = &context.settings;
        let why = match Warehouse::read(&settings.values, &settings.storage)? {
            Warehouse::InStorage { .. } => {
                "here the warehouse is under the storage root, and its metadata stays as it is; to restore the other one, set \
                 `iceberg.warehouse` to a folder of its own and restore again"
            }
            _ => {
                "`iceberg.enabled` and `iceberg.warehouse` name no folder on local disk outside of the storage root; set them \
                 and restore again"
            }
        };
        context.warn(format!(
            "the Iceberg warehouse of backup `{id}` ({} files) was not restored: {why}, or copy `{id}/iceberg/` by hand",
            inventory.totals_of(&iceberg).0
        ));
    }
    match sections.iter().find(|section| !has_source(section)) {
        None => Ok(sections),
        Some(section) => Err(Error::Failed(format!(
            "backup `{id}` has a section `{section}` that this program has no source for: restore with the program that \
             made it, or without data (restore_data = false, --no-data)"
        ))),
    }
}

/// Plans what each section has to change, and checks that there is room and time for it. The plans
/// are added to `parts` one by one: each may have to be aborted. Sections that have a plan already
/// keep it, unless the files of the data storage are theirs: these are planned again, and files
/// staged by the earlier plan are used.
pub(crate) async fn plan(
    context: &Context,
    problems: &Problems,
    options: &RestoreOptions,
    to_restore: &ToRestore<'_>,
    marker: &RestoreMarker<'_>,
    parts: &mut Vec<RestoredSection>,
) -> Result<()> {
    let ToRestore {
        inventory,
        of_backup,
        sections,
        ..
    } = *to_restore;
    let is_first = parts.is_empty();
    let mut rooms = Vec::new();
    let mut staged_bytes = 0;
    let reader = context.repository.reader(&context.id, of_backup)?;
    let renames = options.rename.clone();
    let reader = reader.at(move |path| renames.path_in_backup(path));
    for section in sections.iter().filter(|_| is_first) {
        expect(context, problems, options, inventory, section)?;
    }
    for section in sections {
        let before = parts.iter().position(|part| part.section == *section);
        if before.is_some_and(|at| parts[at].needs_restart()) {
            continue;
        }
        let mut sources = context.sources.iter();
        let Some(source) = sources.find(|source| section_of(&***source) == *section) else {
            continue;
        };
        if let Some(at) = before {
            parts[at].restore.leave_staged().await?;
        }
        let staging = staging_of(context, problems, options, to_restore, marker, section)?;
        let staging = match before {
            None => staging,
            Some(at) => parts[at].plan_again(staging)?,
        };
        let restore = source.restore(staging).await?;
        let entries = whole_entries(problems, inventory, section, &options.scope)?;
        let planned = restore.plan(entries).await?;
        rooms.extend(planned.room.iter().cloned());
        match before {
            Some(at) => {
                let again = parts[at].replace_plan(context, restore, planned, options.verify_first);
                again.await?;
            }
            None => {
                staged_bytes += planned.staged_bytes;
                parts.push(RestoredSection {
                    section: section.clone(),
                    restore,
                    reader: reader.section(section),
                    planned,
                    keeps_extra: options.extra_files == ExtraFilesPolicy::Keep
                        || is_iceberg(section),
                    is_staged: false,
                    earlier: Vec::new(),
                });
            }
        }
    }
    let mut plan = RestorePlan::new(options.extra_files);
    for part in &*parts {
        plan.add(&part.section, &part.planned);
    }
    let checked = saved_plan::check(context, options, &plan);
    context
        .running
        .update(|operation| operation.plan = Some(plan));
    checked?;
    check_room(&rooms)?;
    let [_, total_bytes, _, done_bytes] = context.running.progress.counts();
    let bytes = total_bytes.saturating_sub(done_bytes + staged_bytes);
    check_time(context, bytes).await
}

/// What the source of a section is given.
fn staging_of(
    context: &Context,
    problems: &Problems,
    options: &RestoreOptions,
    to_restore: &ToRestore<'_>,
    marker: &RestoreMarker<'_>,
    section: &Section,
) -> Result<Staging> {
    let damaged = damaged_keys(problems, to_restore.inventory, section)?;
    Ok(Staging {
        untouched: match section {
            Section::Data => Arc::new(damaged.union(to_restore.untouched).cloned().collect()),
            _ => damaged,
        },
        ..staging(context, options, marker)?
    })
}

fn is_iceberg(section: &Section) -> bool {
    section.as_str() == ICEBERG
}

/// Adds the files of a section to the progress.
fn expect(
    context: &Context,
    problems: &Problems,
    options: &RestoreOptions,
    inventory: &Inventory,
    section: &Section,
) -> Result<()> {
    let damaged = problems.damaged();
    for record in section_records(inventory, section, &options.scope)? {
        let record = record?;
        if !damaged.contains(&record.path) {
            context.running.progress.expect(1, record.entry.size);
        }
    }
    Ok(())
}

fn staging(
    context: &Context,
    options: &RestoreOptions,
    marker: &RestoreMarker<'_>,
) -> Result<Staging> {
    Ok(Staging {
        operation_id: context.operation_id.clone(),
        stage: marker.stage(),
        is_new: context.new_instance.is_some(),
        staged_before: match marker.resumes_staging() {
            true => StagedBefore::ByInterrupted,
            false => StagedBefore::Nothing,
        },
        scratch: context.scratch()?.to_owned(),
        cancel: context.running.cancel.clone(),
        activity: context.running.progress.activity().clone(),
        extra_files: options.extra_files.into(),
        cold_held: options.cold_held,
        aside: Some((
            context.repository.target_sink().clone(),
            own("before-restore"),
        )),
        earlier: (marker.earlier().into_iter())
            .map(|run| {
                let id = OperationId::parse(&run.operation_id)
                    .map_err(InvalidOperationId::into_error)?;
                Ok((id, run.extra_files.into()))
            })
            .collect::<Result<_, CoreError>>()?,
        untouched: Arc::default(),
        scope: options.scope.clone(),
    })
}
