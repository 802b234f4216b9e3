//! What a fault means: its kind, its words, whether it is tried again, and what to do.

use arc_backup_core::{Error, ErrorKind};

use crate::error::Call;

/// The verdict on a fault.
pub(crate) struct Verdict {
    kind: ErrorKind,
    detail: String,
    tries: Tries,
    remedy: Option<&'static str>,
}

enum Tries {
    One,
    Few(u32),
    Many,
}

impl Verdict {
    /// The same, with what an operator can do about it.
    pub(crate) fn remedy(self, remedy: &'static str) -> Self {
        Self {
            remedy: Some(remedy),
            ..self
        }
    }

    /// The same, not worth more than so many tries.
    pub(crate) fn at_most(self, tries: u32) -> Self {
        Self {
            tries: Tries::Few(tries),
            ..self
        }
    }

    /// The error for who made this call.
    pub(crate) fn into_error(self, call: Call<'_>) -> Error {
        let error = Error::new(self.kind, call.operation, call.subject, self.detail);
        let error = match self.remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        };
        match self.tries {
            Tries::One => error,
            Tries::Few(tries) => error.retryable_at_most(tries),
            Tries::Many => error.retryable(),
        }
    }
}

/// A fault that no second try heals.
pub(crate) fn fatal(kind: ErrorKind, detail: String) -> Verdict {
    Verdict {
        kind,
        detail,
        tries: Tries::One,
        remedy: None,
    }
}

/// A fault that may heal.
pub(crate) fn retry(kind: ErrorKind, detail: String) -> Verdict {
    Verdict {
        kind,
        detail,
        tries: Tries::Many,
        remedy: None,
    }
}
