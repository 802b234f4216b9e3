//! Endpoints about the service itself.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::super::error::ApiError;
use super::super::extract::Admin;
use super::super::shared::Shared;
use super::super::tag::Tag;
use super::super::types::{DoctorReport, HealthBody};

/// The endpoints of the service itself.
pub(in crate::api) struct ServiceRoutes;

#[OpenApi]
impl ServiceRoutes {
    /// Check everything that the configuration names
    ///
    /// Checks that the data storage and every target can be reached, and each permission there,
    /// with a small object that is removed again; also the clock, disk space, databases and
    /// configuration. Takes some seconds; answers 200 also where something is wrong.
    #[oai(
        path = "/api/v1/backup/doctor",
        method = "post",
        operation_id = "run_doctor",
        tag = "Tag::Operations"
    )]
    async fn doctor(
        &self,
        _admin: Admin,
        shared: Data<&Arc<Shared>>,
    ) -> Result<Json<DoctorReport>, ApiError> {
        // In a task of its own: a client that hangs up must leave no probe behind.
        let engine = shared.engine.clone();
        let report = tokio::spawn(async move { crate::doctor::examine(&engine).await });
        let report = report.await.map_err(crate::Error::from)?;
        Ok(Json(report.into()))
    }

    /// Whether the service answers
    #[oai(
        path = "/health",
        method = "get",
        operation_id = "get_health",
        tag = "Tag::Service"
    )]
    async fn health(&self, shared: Data<&Arc<Shared>>) -> Result<Json<HealthBody>, ApiError> {
        let schedules = shared.scheduler.health().await;
        Ok(Json(HealthBody {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schedules: (!schedules.is_empty()).then(|| schedules.to_string()),
        }))
    }
}
