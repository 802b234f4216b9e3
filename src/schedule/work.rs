//! What a run asks of the engine: each is an operation of its own.

use std::sync::Arc;

use arc_backup_core::{Databases, Scope};
use async_trait::async_trait;
use jiff::Timestamp;

use super::decision::Begun;
use super::store::pending_copies;
use crate::config::{
    IncludeConfig, ScheduleSettings, ScheduledRehearsal, ScheduledVerification, Settings,
};
use crate::manifest::BackupId;
use crate::nearest::hint;
use crate::operations::{
    ArcBackup, BackupOptions, CopyOptions, Operation, OperationFilter, OperationKind, Origin,
    PruneOptions, RehearseOptions, Request, Running, Sections, Status, VerifyMode, Who,
    check_database_names, check_label,
};
use crate::retention::Policies;
use crate::{Error, Result};

/// What a run asks for. All methods are required; each but the first returns when its operation has
/// ended, with whatever result.
#[async_trait]
pub trait ScheduleWork: Send + Sync {
    /// Starts the backup.
    async fn backup(&self, schedule: &ScheduleSettings) -> Result<Arc<Running>>;

    /// Copies a backup from the target `from` to the target `to`. Of a backup over several targets,
    /// `from` is `None`.
    async fn copy(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        to: &str,
    ) -> Result<Operation>;

    /// Verifies a backup in the target `from`. Of a backup over several targets, `from` is `None`.
    async fn verify(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        how: ScheduledVerification,
    ) -> Result<Operation>;

    /// Rehearses a restore of a backup in the target `from`. Of a backup over several targets,
    /// `from` is `None`.
    async fn rehearse(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        how: ScheduledRehearsal,
    ) -> Result<Operation>;

    /// Deletes the backups of `target` that no rule keeps; `None` where no rule is set.
    async fn prune(&self, schedule: &ScheduleSettings, target: &str) -> Result<Option<Operation>>;
}

/// The engine does it.
#[derive(Clone)]
pub struct EngineWork(pub Arc<ArcBackup>);

/// Who asks: the schedule.
fn who(schedule: &ScheduleSettings) -> Who {
    Who {
        actor: schedule.timing.name.clone(),
        origin: Origin::Schedule,
        fingerprint: None,
        token: None,
    }
}

impl EngineWork {
    async fn run(&self, schedule: &ScheduleSettings, request: Request) -> Result<Operation> {
        let running = self.0.start(request, who(schedule)).await?;
        Ok(running.wait().await)
    }
}

#[async_trait]
impl ScheduleWork for EngineWork {
    async fn backup(&self, schedule: &ScheduleSettings) -> Result<Arc<Running>> {
        self.0
            .start(request_of(&self.0, schedule)?, who(schedule))
            .await
    }

    async fn copy(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        to: &str,
    ) -> Result<Operation> {
        let copy = CopyOptions::new(BackupId::parse(backup_id)?, to);
        let request = Request::Copy(copy.from(from.map(str::to_owned)));
        self.run(schedule, request).await
    }

    async fn verify(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        how: ScheduledVerification,
    ) -> Result<Operation> {
        let mode = match how {
            ScheduledVerification::Quick => VerifyMode::Quick,
            ScheduledVerification::Full => VerifyMode::Full,
            ScheduledVerification::Sample(share) => VerifyMode::Sample(share),
        };
        let id = BackupId::parse(backup_id)?;
        let request = Request::Verify(id, mode.into(), from.map(str::to_owned));
        self.run(schedule, request).await
    }

    async fn rehearse(
        &self,
        schedule: &ScheduleSettings,
        backup_id: &str,
        from: Option<&str>,
        how: ScheduledRehearsal,
    ) -> Result<Operation> {
        let share = match how {
            ScheduledRehearsal::Full => None,
            ScheduledRehearsal::Share(share) => Some(share),
        };
        let id = BackupId::parse(backup_id)?;
        let options = RehearseOptions { share };
        let request = Request::Rehearse(id, options, from.map(str::to_owned));
        self.run(schedule, request).await
    }

    async fn prune(&self, schedule: &ScheduleSettings, target: &str) -> Result<Option<Operation>> {
        if !has_rules(&self.0.retention()?.policies(target)) {
            return Ok(None);
        }
        let mut options = PruneOptions::of(Some(target.to_owned()));
        options.to_copy = pending_copies(&self.0).await;
        self.run(schedule, Request::Prune(options)).await.map(Some)
    }
}

/// Whether any rule is set: without one, everything is kept.
pub(super) fn has_rules(policies: &Policies) -> bool {
    let of_schedules = policies.of_schedules.values();
    (of_schedules.chain([&policies.of_target])).any(|policy| !policy.rules.is_empty())
}

/// The schedules of the configuration, with all that can be wrong with them.
///
/// # Errors
/// [`Error::Config`] names what is wrong with one of them.
pub fn configured(settings: &Settings) -> Result<Vec<ScheduleSettings>> {
    let schedules = settings.schedules()?;
    for schedule in &schedules {
        let names = schedule.databases.clone();
        let databases = match names.is_empty() {
            true => Ok(()),
            false => check_database_names(names).map(|_| ()),
        };
        let labels = schedule
            .labels
            .iter()
            .try_for_each(|label| check_label(label));
        databases.and(labels).map_err(|error| {
            Error::Config(format!("schedule {:?}: {error}", schedule.timing.name))
        })?;
    }
    Ok(schedules)
}

/// The request for a backup of a schedule.
///
/// # Errors
/// [`Error::Invalid`] for what can't be the name of a database.
pub fn request_of(engine: &ArcBackup, schedule: &ScheduleSettings) -> Result<Request> {
    let settings = &engine.settings().backup;
    let is_whole = schedule.databases.is_empty();
    let databases = match is_whole {
        true => Databases::All,
        false => Databases::Only(check_database_names(schedule.databases.clone())?),
    };
    // As a request that names neither: a backup of some databases has their data alone.
    let config = match is_whole {
        true => settings.include_config,
        false => IncludeConfig::Omitted,
    };
    let sections = Sections {
        data: true,
        metadata: settings.include_metadata && is_whole,
        config: config.includes(),
    };
    Ok(Request::Backup(BackupOptions {
        scope: Scope::from(sections).of_databases(databases),
        backup_type: schedule.backup_type,
        require_flush: settings.require_flush,
        secrets: config.secrets(),
        target: schedule.wanted_target().map(str::to_owned),
        labels: schedule.labels.clone(),
        schedule: Some(schedule.timing.name.clone()),
        ..BackupOptions::default()
    }))
}

/// The schedule of this name.
///
/// # Errors
/// [`Error::UnknownSchedule`] lists the known ones.
pub fn find<'a>(schedules: &'a [ScheduleSettings], name: &str) -> Result<&'a ScheduleSettings> {
    let found = schedules.iter().find(|one| one.timing.name == name);
    found.ok_or_else(|| {
        let known: Vec<_> = schedules.iter().map(|one| &*one.timing.name).collect();
        Error::UnknownSchedule {
            name: name.to_owned(),
            hint: hint(name, &known),
        }
    })
}

/// The last operation of these kinds and statuses for this schedule.
pub(super) async fn last_operation(
    engine: &ArcBackup,
    name: &str,
    kinds: &[OperationKind],
    statuses: &[Status],
) -> Result<Option<Operation>> {
    let filter = OperationFilter {
        operations: kinds.to_vec(),
        statuses: statuses.to_vec(),
        schedule: Some(name.to_owned()),
        ..OperationFilter::default()
    };
    let page = engine.find_operations(&filter, 0, 1).await?;
    Ok(page.operations.into_iter().next())
}

/// The last backup that the schedule began by itself.
pub(super) async fn last_begun(engine: &ArcBackup, name: &str) -> Option<Begun> {
    let filter = OperationFilter {
        operations: vec![OperationKind::Backup],
        schedule: Some(name.to_owned()),
        ..OperationFilter::default()
    };
    let page = engine.find_operations(&filter, 0, 20).await.ok()?;
    let last = page
        .operations
        .into_iter()
        .find(|one| one.origin == Origin::Schedule)?;
    let at: Timestamp = last.started_at.parse().ok()?;
    Some(Begun {
        at,
        is_completed: last.status == Status::Completed,
        operation_id: last.operation_id,
    })
}
