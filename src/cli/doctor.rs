//! `doctor`.

use poem_openapi::types::ToJSON;

use super::exit_code::{DONE, FAILED};
use super::output::print_line;
use crate::Result;
use crate::api::types;
use crate::doctor::{Check, DoctorStatus, Report, examine};
use crate::operations::ArcBackup;

pub(super) async fn run(engine: &ArcBackup, json: bool) -> Result<u8> {
    let report = examine(engine).await;
    let code = if report.ok { DONE } else { FAILED };
    match json {
        true => print_line(&types::DoctorReport::from(report).to_json_string()),
        false => print(&report),
    }
    Ok(code)
}

fn print(report: &Report) {
    let width = |column: fn(&Check) -> &str| {
        let widths = (report.checks.iter()).map(|check| column(check).chars().count());
        widths.max().unwrap_or(0)
    };
    let (subject, name) = (width(|check| &check.subject), width(|check| &check.check));
    for check in &report.checks {
        let mark = match check.status {
            DoctorStatus::Ok => "ok   ",
            DoctorStatus::Warn => "warn ",
            DoctorStatus::Fault => "FAULT",
        };
        print_line(&format!(
            "{mark}  {:subject$}  {:name$}  {}",
            check.subject, check.check, check.detail
        ));
        if let Some(remedy) = &check.remedy {
            print_line(&format!("       {:subject$}  {:name$}  → {remedy}", "", ""));
        }
    }
}
