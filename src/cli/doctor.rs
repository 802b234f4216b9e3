//! `doctor`.

use poem_openapi::types::ToJSON;

use super::output::line;
use super::{DONE, FAILED};
use crate::Result;
use crate::doctor::DoctorStatus;
use crate::operations::ArcBackup;

pub(super) async fn run(engine: &ArcBackup, json: bool) -> Result<u8> {
    let report = crate::doctor::examine(engine).await;
    if json {
        line(&report.to_json_string());
    } else {
        let width = |column: fn(&crate::doctor::Check) -> &str| {
            let widths = report
                .checks
                .iter()
                .map(|check| column(check).chars().count());
            widths.max().unwrap_or(0)
        };
        let (subject, name) = (width(|check| &check.subject), width(|check| &check.check));
        for check in &report.checks {
            let mark = match check.status {
                DoctorStatus::Ok => "ok   ",
                DoctorStatus::Warn => "warn ",
                DoctorStatus::Fault => "FAULT",
            };
            line(&format!(
                "{mark}  {:subject$}  {:name$}  {}",
                check.subject, check.check, check.detail
            ));
            if let Some(remedy) = &check.remedy {
                line(&format!("       {:subject$}  {:name$}  → {remedy}", "", ""));
            }
        }
    }
    Ok(if report.ok { DONE } else { FAILED })
}
