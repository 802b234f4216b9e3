//! What the doctor finds.

use arc_backup_core::Error as CoreError;

use super::explain::explain;
use crate::config::Backends;

/// What the doctor found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Whether nothing is wrong: true with warnings.
    pub ok: bool,
    /// The worst of the checks.
    pub status: DoctorStatus,
    /// Each check.
    pub checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(checks: Vec<Check>) -> Self {
        let status = checks.iter().map(|check| check.status).max();
        let status = status.unwrap_or_default();
        Self {
            ok: status != DoctorStatus::Fault,
            status,
            checks,
        }
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoctorStatus {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// Backups work; something that an operator should know of is not as it should be, or will not
    /// be for long.
    Warn,
    /// A backup, or what else the check is about, does not work.
    Fault,
}

/// One check.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Check {
    /// What was checked: `data storage`, `target offsite`, `database arc.db`, …
    pub subject: String,
    /// Which check: `put`, `list`, `clock`, …
    pub check: String,
    /// Whether it is not a fault: true for a warning.
    pub ok: bool,
    /// Its outcome.
    pub status: DoctorStatus,
    /// A state in which not everything works, and that may be wanted: `append-only`, `read-only`.
    pub state: Option<String>,
    /// What was found.
    pub detail: String,
    /// The setting to look at.
    pub setting: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

impl Check {
    fn new(status: DoctorStatus, subject: &str, check: &str, detail: String) -> Self {
        Self {
            subject: subject.to_owned(),
            check: check.to_owned(),
            ok: status != DoctorStatus::Fault,
            status,
            detail,
            ..Self::default()
        }
    }

    pub(super) fn good(subject: &str, check: &str, detail: impl Into<String>) -> Self {
        Self::new(DoctorStatus::Ok, subject, check, detail.into())
    }

    pub(super) fn warn(subject: &str, check: &str, detail: impl Into<String>) -> Self {
        Self::new(DoctorStatus::Warn, subject, check, detail.into())
    }

    pub(super) fn bad(subject: &str, check: &str, detail: impl Into<String>) -> Self {
        Self::new(DoctorStatus::Fault, subject, check, detail.into())
    }

    pub(super) fn look_at(mut self, setting: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.setting = Some(setting.into());
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn in_state(mut self, state: &str) -> Self {
        self.state = Some(state.to_owned());
        self
    }

    /// The check that met `error` in a storage whose settings are in `table`.
    pub(super) fn failed(
        backends: &Backends,
        subject: &str,
        check: &str,
        table: &str,
        error: &CoreError,
    ) -> Self {
        let (setting, remedy) = explain(backends, table, error);
        Self::bad(subject, check, error.to_string()).look_at(setting, remedy)
    }
}
