//! The service itself, and what it works with.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::super::answers::HealthBody;
use super::super::app::Shared;
use super::super::extract::Admin;
use super::super::faults::{Fault, body};
use super::Tag;

pub(in crate::api) struct Service;

#[OpenApi]
impl Service {
    /// Check everything that the configuration names
    ///
    /// Credentials, reach and each right of the data storage and of every target, with an object of
    /// its own that is gone afterwards; clock, room, databases, configuration. Takes some seconds;
    /// 200 also where something is wrong.
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
    ) -> Result<Json<crate::doctor::Report>, Fault> {
        // A task of its own: a client that hangs up must leave no probe behind.
        let engine = shared.engine.clone();
        let report = tokio::spawn(async move { crate::doctor::examine(&engine).await });
        report
            .await
            .map(Json)
            .map_err(|e| Fault::Internal(Json(body(format!("internal fault: {e}")))))
    }

    /// Whether the service answers
    #[oai(
        path = "/health",
        method = "get",
        operation_id = "get_health",
        tag = "Tag::Service"
    )]
    async fn health(&self) -> Result<Json<HealthBody>, Fault> {
        Ok(Json(HealthBody {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}
