//! What a backup has collected so far: the value from which its manifest is made.

use std::collections::BTreeMap;

use arc_backup_core::{Scope, Section, SourceReport};
use jiff::Timestamp;

use crate::Result;
use crate::backup_type::BackupType;
use crate::config::Warehouse;
use crate::manifest::{
    self, BackupId, ClusterInfo, Consistency, DatabaseIncluded, Inventory, InventoryRef, Manifest,
    Record, Rehashed, SectionTotals, SourceInfo, StoredTotals,
};
use crate::operations::backup::base::{Base, Rehash};
use crate::operations::backup::damaged_files::DamagedFiles;
use crate::operations::backup::write_faults::WriteFaults;
use crate::operations::context::Context;
use crate::operations::owner::Owner;
use crate::operations::problems::Problems;
use crate::operations::sections::{named_databases, without_data_files};
use crate::operations::{ProblemKind, instance_id};
use crate::repository::{SampleCursor, StoredLog};
use crate::source::{Contents, ICEBERG};

/// What the sections of a backup have given so far.
pub(crate) struct Collected {
    pub(crate) started: Timestamp,
    owner: Owner,
    /// The databases that it is limited to, sorted; empty if it is not.
    databases: Vec<String>,
    pub(crate) inventories: BTreeMap<Section, Inventory>,
    pub(crate) contents: Contents,
    reports: BTreeMap<Section, SourceReport>,
    /// Parts of the configuration that are not in the backup: by default, and on request.
    not_included: Vec<String>,
    /// Whether Arc wrote its buffers before its files were listed, where that is known.
    pub(crate) flushed: Option<bool>,
    /// Interrupted backups whose files are used again, newest first.
    pub(crate) unfinished: Vec<BackupId>,
    /// The earlier backup whose unchanged files are reused.
    pub(crate) base: Option<Base>,
    /// Files that were reused, of the base or of interrupted backups, and their bytes.
    pub(crate) reused: (u64, u64),
    /// Those of them that were read again.
    pub(crate) rehashed: Rehashed,
    /// Files whose bytes lie in other backups, by these.
    pub(crate) stored_in: BTreeMap<BackupId, StoredTotals>,
    /// Files that were in the cold tier, and their bytes.
    pub(crate) cold: (u64, u64),
    /// Parquet files that were damaged in the source already.
    pub(crate) damaged: DamagedFiles,
    /// Files of the source that could not be read.
    pub(crate) problems: Problems,
    /// The log of stored files, for the next backup, should this one not end.
    pub(crate) log: StoredLog,
    /// Whether stored files are of use to it.
    pub(crate) faults: WriteFaults,
    /// Whether it was found, before anything was copied, that the target has no room.
    pub(crate) no_room: bool,
    /// The list of the data files that Arc reads, once it is stored.
    pub(crate) file_list: Option<InventoryRef>,
    /// The list of all files, where everything that could be read is stored and some could not.
    pub(crate) incomplete_inventory: Option<InventoryRef>,
    /// The run, where this is a leg.
    pub(crate) run: Option<OfRun>,
}

/// What the manifest of a leg says of its run.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfRun {
    /// All targets that hold a leg, sorted.
    pub(crate) targets: Vec<String>,
    /// The SHA-256 of the inventory in each.
    pub(crate) inventories: BTreeMap<String, String>,
    /// Whether this is the leg in the default target.
    pub(crate) is_default: bool,
}

impl Collected {
    pub(crate) fn new(context: &Context, scope: &Scope, unfinished: Vec<BackupId>) -> Self {
        let owner = Owner::of(&context.settings);
        if let Some(fault) = &owner.fault {
            context.warn(fault.clone());
        }
        Self {
            started: Timestamp::now(),
            owner,
            databases: named_databases(scope),
            inventories: BTreeMap::new(),
            contents: Contents::default(),
            reports: BTreeMap::new(),
            not_included: context.settings.not_included.clone(),
            flushed: None,
            unfinished,
            base: None,
            reused: (0, 0),
            rehashed: Rehashed::default(),
            stored_in: BTreeMap::new(),
            cold: (0, 0),
            damaged: DamagedFiles::default(),
            problems: Problems::new(&context.running),
            log: StoredLog::new(&context.repository, &context.id),
            faults: WriteFaults::new(&**context.repository.sink()),
            no_room: false,
            file_list: None,
            incomplete_inventory: None,
            run: None,
        }
    }

    /// Whether files of an earlier backup are reused.
    pub(crate) fn backup_type(&self) -> BackupType {
        (self.base.as_ref()).map_or(BackupType::Full, Base::backup_type)
    }

    /// Counts a file that another backup holds.
    pub(crate) fn add_holder(&mut self, record: &Record) {
        let Some(holder) = &record.stored_in else {
            return;
        };
        if !self.stored_in.contains_key(holder) {
            self.stored_in
                .insert(holder.clone(), StoredTotals::default());
        }
        if let Some(totals) = self.stored_in.get_mut(holder) {
            totals.files += 1;
            totals.bytes += record.entry.size;
        }
    }

    /// What the manifest says of the reused files that were read again.
    fn rehashed(&self) -> Option<Rehashed> {
        let next = match self.base.as_ref()?.rehash {
            Rehash::None => return None,
            Rehash::All => SampleCursor::default(),
            Rehash::Share(run) => run.next,
        };
        Some(Rehashed {
            next: next.next,
            covered: next.covered,
            ..self.rehashed
        })
    }

    /// Records parts of the configuration that are not in the backup.
    pub(crate) fn add_not_included(&mut self, context: &Context, names: Vec<String>) {
        self.not_included.extend(names);
        (context.running).update(|operation| operation.not_included.clone_from(&self.not_included));
    }

    /// Reports how much was reused.
    pub(crate) fn report_reused(&self, context: &Context) {
        let (files, bytes) = self.reused;
        context.running.update(|operation| {
            operation.reused_files = Some(files);
            operation.reused_bytes = Some(bytes);
        });
    }

    /// Takes up what a source reports of its section.
    pub(crate) fn add_report(
        &mut self,
        context: &Context,
        section: &Section,
        report: SourceReport,
    ) {
        for (path, detail) in &report.unreadable {
            let path = format!("{section}/{path}");
            self.problems
                .add(path, ProblemKind::Unreadable, detail.as_str());
        }
        for warning in &report.warnings {
            context.warn(warning.clone());
        }
        self.add_not_included(context, report.not_included.clone());
        let report_cold = report.cold_files_excluded;
        self.reports.insert(section.clone(), report);
        if report_cold > 0 {
            (context.running).update(|operation| operation.cold_files_excluded = Some(report_cold));
        }
        let (special, unaddressable) = (self.special_files(), self.unaddressable_files());
        context.running.update(|operation| {
            if special.0 > 0 {
                (operation.special_files, operation.special_sample) = (Some(special.0), special.1);
            }
            if unaddressable.0 > 0 {
                operation.unaddressable_files = Some(unaddressable.0);
                operation.unaddressable_sample = unaddressable.1;
            }
        });
    }

    /// Links, FIFOs, sockets and devices, and the first of them.
    fn special_files(&self) -> (u64, Vec<String>) {
        let reports = self.reports.values();
        (
            reports.clone().map(|report| report.special_files).sum(),
            reports
                .flat_map(|report| report.special_sample.iter().cloned())
                .collect(),
        )
    }

    /// Files with unsupported names, and the first of them.
    fn unaddressable_files(&self) -> (u64, Vec<String>) {
        let reports = self.reports.values();
        (
            reports
                .clone()
                .map(|report| report.unaddressable_files)
                .sum(),
            reports
                .flat_map(|report| report.unaddressable_sample.iter().cloned())
                .collect(),
        )
    }

    /// What Arc's manifest says of a warehouse outside the storage root.
    fn warehouse(&self, context: &Context) -> Option<serde_json::Value> {
        let files = self.inventories.get(&Section::Other(ICEBERG.to_owned()))?;
        let settings = &context.settings;
        let Ok(Warehouse::Folder { path, configured }) =
            Warehouse::read(&settings.values, &settings.storage)
        else {
            return None;
        };
        let path = std::path::absolute(&path).unwrap_or(path);
        let summary = files.summary();
        Some(serde_json::json!({
            "path": path.display().to_string(),
            "configured_path": configured,
            "file_count": summary.entries,
            "size_bytes": summary.bytes,
        }))
    }

    /// The manifest, without its inventory.
    pub(crate) fn manifest(&self, context: &Context) -> Manifest {
        let started = self.started;
        let ended = Timestamp::now();
        let report = |section: &Section| self.reports.get(section).cloned().unwrap_or_default();
        let data = report(&Section::Data);
        let included: Vec<_> = (report(&Section::Metadata).settings.into_iter())
            .map(|(file, setting)| DatabaseIncluded { file, setting })
            .collect();
        let has = |section: &Section| {
            self.inventories
                .get(section)
                .is_some_and(|list| list.summary().entries > 0)
        };
        let (special_files, special_sample) = self.special_files();
        let (unaddressable_files, unaddressable_sample) = self.unaddressable_files();
        Manifest {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            backup_id: context.id.to_string(),
            created_at: started.to_string(),
            backup_type: self.backup_type().as_str().to_owned(),
            base_backup_id: (self.base.as_ref())
                .filter(|_| self.backup_type() == BackupType::Incremental)
                .map(|base| base.id.to_string()),
            stored_in: (self.stored_in.iter())
                .map(|(holder, totals)| (holder.to_string(), *totals))
                .collect(),
            rehashed: self.rehashed(),
            schedule: context.running.snapshot().schedule,
            scope: self.databases.clone(),
            databases: self.contents.databases(),
            total_files: self.contents.parquet_files,
            total_size_bytes: self.contents.parquet_bytes,
            total_rows: self.contents.rows(),
            files_without_rows: self.contents.files_without_rows,
            damaged_files: self.damaged.count,
            damaged_sample: self.damaged.sample.clone(),
            auxiliary_files: self.contents.auxiliary_files,
            compaction_state_files: self.contents.compaction_state_files,
            unaddressable_files,
            unaddressable_sample,
            special_files,
            special_sample,
            cluster: (context.settings.cluster.as_ref()).map(|cluster| ClusterInfo {
                name: cluster.name.clone(),
                node_storage: true,
            }),
            has_metadata: has(&Section::Metadata),
            has_iceberg_catalog: included
                .iter()
                .any(|database| database.file == "iceberg-catalog.db"),
            has_config: has(&Section::Config),
            config_redacted: report(&Section::Config).redacted,
            owner_instance_id: self.owner.id.clone(),
            iceberg_warehouse: self.warehouse(context),
            target: Some(context.repository.name().to_owned()),
            is_default_target: self.run.as_ref().map(|run| run.is_default),
            run_targets: self.run.clone().unwrap_or_default().targets,
            run_inventories: self.run.clone().unwrap_or_default().inventories,
            format: Some(manifest::FORMAT),
            tool: Some(concat!("arc-backup ", env!("CARGO_PKG_VERSION")).to_owned()),
            completed_at: Some(ended.to_string()),
            duration_seconds: Some(ended.duration_since(started).as_secs_f64()),
            source: data.origin.map(|origin| SourceInfo {
                backend: origin.kind,
                location: origin.location,
                instance: instance_id::instance_id(context.settings.backup.state_folder()),
            }),
            cold_files: (data.has_cold_tier || self.cold.0 > 0).then_some(self.cold.0),
            cold_size_bytes: self.cold.1,
            cold_files_excluded: data.cold_files_excluded,
            reused_files: self.reused.0,
            reused_bytes: self.reused.1,
            consistency: data.method.map(|method| Consistency {
                method,
                moment: (data.moment.and_then(|time| Timestamp::try_from(time).ok()))
                    .unwrap_or(started)
                    .to_string(),
                flushed: self.flushed,
            }),
            sections: (self.inventories.iter())
                .map(|(section, list)| SectionTotals {
                    name: section.to_string(),
                    files: list.summary().entries,
                    bytes: list.summary().bytes,
                })
                .collect(),
            databases_included: included,
            not_included: self.not_included.clone(),
            file_list: self.file_list.clone(),
            ..Manifest::default()
        }
    }
}

/// Warns of data without files, in any of the lists: a wrong prefix or bucket shows as no data at
/// all, where on local disk the folder would be missing. So does a database that was dropped.
pub(crate) fn warn_if_empty(
    context: &Context,
    databases: &[String],
    lists: &[&Inventory],
) -> Result<()> {
    let place = context.storage.location();
    if databases.is_empty() {
        if lists.iter().all(|list| list.summary().entries == 0) {
            context.warn(format!(
                "the data storage is empty ({place}): is that the place that Arc uses?"
            ));
        }
        return Ok(());
    }
    let records = (lists.iter().map(|list| list.records())).collect::<Result<Vec<_>>>()?;
    let keys = (records.into_iter().flatten()).map(|record| record.map(|one| one.entry.key));
    for database in without_data_files(databases, keys)? {
        context.warn(format!(
            "database {database:?} has no data files in {place}: the backup has none of its rows"
        ));
    }
    Ok(())
}
