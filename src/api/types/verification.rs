//! A verification of a backup, as its note records it.

use poem_openapi::Object;

use crate::repository;

/// When a backup was last verified, and with what result.
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct LastVerified {
    /// When the verification ended, RFC 3339, UTC.
    pub(in crate::api) at: String,
    /// `full`, `quick` or `sample`; `reuse`: a backup found damaged files when it reused them;
    /// `rehearsal`: a rehearsal found faults.
    pub(in crate::api) mode: String,
    /// Whether nothing was wrong.
    pub(in crate::api) ok: bool,
    /// The operation.
    pub(in crate::api) operation_id: String,
    /// Of a sample: the share of the files that it read, 0.05 for a twentieth.
    pub(in crate::api) share: Option<f64>,
    /// Of a sample: the share of the backup that all samples of this round have read; 1 when all.
    pub(in crate::api) covered: Option<f64>,
}

impl From<repository::LastVerified> for LastVerified {
    fn from(verification: repository::LastVerified) -> Self {
        let repository::LastVerified {
            at,
            mode,
            ok,
            operation_id,
            share,
            covered,
        } = verification;
        Self {
            at,
            mode,
            ok,
            operation_id,
            share,
            covered,
        }
    }
}
