//! What a fault means: its kind, its text, whether it is retried, and what to do.

use arc_backup_core::{Error, ErrorKind};

use crate::call::Call;

/// The diagnosis of a fault.
pub(crate) struct Diagnosis {
    kind: ErrorKind,
    detail: String,
    attempts: Attempts,
    setting: Option<&'static str>,
    remedy: Option<&'static str>,
}

enum Attempts {
    One,
    AtMost(u32),
    ByPolicy,
}

impl Diagnosis {
    /// The same, with what an operator can do about it.
    pub(crate) fn remedy(self, remedy: &'static str) -> Self {
        Self {
            remedy: Some(remedy),
            ..self
        }
    }

    /// The same, with the setting that decides about it.
    pub(crate) fn setting(self, setting: impl Into<Option<&'static str>>) -> Self {
        Self {
            setting: setting.into(),
            ..self
        }
    }

    /// The same, not worth more than so many attempts.
    pub(crate) fn at_most(self, attempts: u32) -> Self {
        Self {
            attempts: Attempts::AtMost(attempts),
            ..self
        }
    }

    /// The error that the caller sees.
    pub(crate) fn into_error(self, call: Call<'_>) -> Error {
        let error = Error::new(self.kind, call.operation, call.subject, self.detail);
        let error = match self.remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        };
        let error = match self.setting {
            Some(setting) => error.with_setting(setting),
            None => error,
        };
        match self.attempts {
            Attempts::One => error,
            Attempts::AtMost(attempts) => error.retryable_at_most(attempts),
            Attempts::ByPolicy => error.retryable(),
        }
    }
}

/// A fault that no second attempt heals.
pub(crate) fn fatal(kind: ErrorKind, detail: String) -> Diagnosis {
    Diagnosis {
        kind,
        detail,
        attempts: Attempts::One,
        setting: None,
        remedy: None,
    }
}

/// A fault that may heal.
pub(crate) fn retry(kind: ErrorKind, detail: String) -> Diagnosis {
    Diagnosis {
        kind,
        detail,
        attempts: Attempts::ByPolicy,
        setting: None,
        remedy: None,
    }
}
