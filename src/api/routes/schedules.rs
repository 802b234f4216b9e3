//! Endpoints of the schedules.

use std::sync::Arc;

use jiff::Timestamp;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;

use super::super::error::ApiError;
use super::super::extract::Admin;
use super::super::shared::Shared;
use super::super::starting::{accepted, answered, who};
use super::super::tag::Tag;
use super::super::types::{Schedule, SchedulePreview, ScheduleSwitched, SchedulesBody, Started};
use crate::operations::Who;
use crate::schedule::{find, preview, reports, switch};

/// The endpoints of the schedules.
pub(in crate::api) struct ScheduleRoutes;

#[OpenApi]
impl ScheduleRoutes {
    /// The schedules, and what is known of them
    ///
    /// In the order of the configuration: their next times, what ran last, what failed last, and
    /// what is overdue. `error` says why a changed configuration is not in force.
    #[oai(
        path = "/api/v1/backup/schedules",
        method = "get",
        operation_id = "list_schedules",
        tag = "Tag::Operations"
    )]
    async fn list(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
    ) -> Result<Json<SchedulesBody>, ApiError> {
        let (schedules, fault) = shared.scheduler.schedules();
        let reports = reports(&shared.engine, &schedules, Timestamp::now()).await?;
        Ok(Json(SchedulesBody::new(reports, fault)))
    }

    /// One schedule, and what is known of it
    #[oai(
        path = "/api/v1/backup/schedules/:name",
        method = "get",
        operation_id = "get_schedule",
        tag = "Tag::Operations"
    )]
    async fn get(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// Its name.
        name: Path<String>,
    ) -> Result<Json<Schedule>, ApiError> {
        let schedules = shared.scheduler.schedules().0;
        let schedule = find(&schedules, &name)?.clone();
        let mut reports = reports(&shared.engine, &[schedule], Timestamp::now()).await?;
        let report = reports.pop();
        let missing = || crate::Error::Failed("the schedule has no report".to_owned());
        Ok(Json(report.ok_or_else(missing)?.into()))
    }

    /// What a schedule will do
    ///
    /// Its next ten runs, and the backups that there would be in 30 days if every run succeeds, by
    /// the rules of retention.
    #[oai(
        path = "/api/v1/backup/schedules/:name/preview",
        method = "get",
        operation_id = "preview_schedule",
        tag = "Tag::Operations"
    )]
    async fn preview(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// Its name.
        name: Path<String>,
    ) -> Result<Json<SchedulePreview>, ApiError> {
        let schedules = shared.scheduler.schedules().0;
        let schedule = find(&schedules, &name)?;
        let preview = preview(&shared.engine, schedule, &schedules, Timestamp::now()).await?;
        Ok(Json(preview.into()))
    }

    /// Run a schedule now
    ///
    /// Whatever its times are, and whether it is paused or not. Answers at once. The copies, the
    /// verification and the pruning follow by themselves.
    #[oai(
        path = "/api/v1/backup/schedules/:name/run",
        method = "post",
        operation_id = "run_schedule",
        tag = "Tag::Operations"
    )]
    async fn run(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// Its name.
        name: Path<String>,
    ) -> Result<Started, ApiError> {
        let who = Who {
            token: admin.1,
            ..who(admin.0)
        };
        // In a task of its own: a client that hangs up must not leave a lock behind.
        let (scheduler, name) = (shared.scheduler.clone(), name.0);
        let started = tokio::spawn(async move { scheduler.run_now(&name, who).await });
        let running = started.await.map_err(crate::Error::from)??;
        let answer = accepted(&running.snapshot(), "Backup started", None, Vec::new());
        Ok(answered(answer))
    }

    /// Pause a schedule
    ///
    /// It does not run until it is resumed, also after a restart of the service. What was due
    /// meanwhile is not made up.
    #[oai(
        path = "/api/v1/backup/schedules/:name/pause",
        method = "post",
        operation_id = "pause_schedule",
        tag = "Tag::Operations"
    )]
    async fn pause(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// Its name.
        name: Path<String>,
    ) -> Result<Json<ScheduleSwitched>, ApiError> {
        switched(&shared, &name, true, &admin.0.name).await
    }

    /// Resume a schedule
    ///
    /// It wins over `paused = true` in the configuration.
    #[oai(
        path = "/api/v1/backup/schedules/:name/resume",
        method = "post",
        operation_id = "resume_schedule",
        tag = "Tag::Operations"
    )]
    async fn resume(
        &self,
        admin: Admin,
        shared: Data<&Arc<Shared>>,
        /// Its name.
        name: Path<String>,
    ) -> Result<Json<ScheduleSwitched>, ApiError> {
        switched(&shared, &name, false, &admin.0.name).await
    }
}

async fn switched(
    shared: &Arc<Shared>,
    name: &str,
    paused: bool,
    by: &str,
) -> Result<Json<ScheduleSwitched>, ApiError> {
    let schedules = shared.scheduler.schedules().0;
    find(&schedules, name)?;
    switch(&shared.engine, name, paused, by).await?;
    Ok(Json(ScheduleSwitched::new(name, paused)))
}
