//! The report of the doctor.

use poem_openapi::{Enum, Object};

use crate::doctor;

/// What the doctor found.
#[derive(Debug, Clone, PartialEq, Object)]
pub(crate) struct DoctorReport {
    /// Whether nothing is wrong: true with warnings.
    pub(in crate::api) ok: bool,
    /// The worst of the checks.
    pub(in crate::api) status: DoctorStatus,
    /// Each check.
    pub(in crate::api) checks: Vec<DoctorCheck>,
}

impl From<doctor::Report> for DoctorReport {
    fn from(report: doctor::Report) -> Self {
        let doctor::Report { ok, status, checks } = report;
        Self {
            ok,
            status: status.into(),
            checks: checks.into_iter().map(Into::into).collect(),
        }
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(in crate::api) enum DoctorStatus {
    /// Nothing is wrong.
    Ok,
    /// Backups work, but an operator should look at this.
    Warn,
    /// A backup, or what else is checked, does not work.
    Fault,
}

impl From<doctor::DoctorStatus> for DoctorStatus {
    fn from(status: doctor::DoctorStatus) -> Self {
        match status {
            doctor::DoctorStatus::Ok => Self::Ok,
            doctor::DoctorStatus::Warn => Self::Warn,
            doctor::DoctorStatus::Fault => Self::Fault,
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(rename = "Check", skip_serializing_if_is_none)]
pub(in crate::api) struct DoctorCheck {
    /// What was checked: `data storage`, `target offsite`, `database arc.db`, …
    pub(in crate::api) subject: String,
    /// Which check: `put`, `list`, `clock`, …
    pub(in crate::api) check: String,
    /// Whether it is not a fault: true for a warning.
    pub(in crate::api) ok: bool,
    /// How it went.
    pub(in crate::api) status: DoctorStatus,
    /// A state in which not everything works, and that may be wanted: `append-only`, `read-only`.
    pub(in crate::api) state: Option<String>,
    /// What was found.
    pub(in crate::api) detail: String,
    /// The setting to look at.
    pub(in crate::api) setting: Option<String>,
    /// What to do.
    pub(in crate::api) remedy: Option<String>,
}

impl From<doctor::Check> for DoctorCheck {
    fn from(check: doctor::Check) -> Self {
        let doctor::Check {
            subject,
            check,
            ok,
            status,
            state,
            detail,
            setting,
            remedy,
        } = check;
        Self {
            subject,
            check,
            ok,
            status: status.into(),
            state,
            detail,
            setting,
            remedy,
        }
    }
}
