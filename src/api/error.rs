//! The answers to requests that are refused or fail.

use arc_backup_core::{Error as CoreError, ErrorKind};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

use crate::Error;
use crate::auth::Denied;
use crate::operations::{Busy, BusyProgress};

/// An error, for people.
#[derive(Debug, Clone, Default, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct ErrorBody {
    /// False on 401 and 403, as in Arc; absent elsewhere.
    pub(super) success: Option<bool>,
    /// What is wrong: Arc's text where Arc has one.
    pub(super) error: String,
    /// Details: which field or file, and what to do.
    pub(super) detail: Option<String>,
    /// `running` on 409.
    pub(super) status: Option<String>,
    /// The operation that runs, on 409.
    pub(super) operation: Option<String>,
    /// Its id.
    pub(super) operation_id: Option<String>,
    /// The process that runs it.
    pub(super) pid: Option<u32>,
    /// The host of that process.
    pub(super) host: Option<String>,
    /// When that operation began, RFC 3339.
    pub(super) started_at: Option<String>,
    /// What it is doing: `listing`, `copying`, `applying`, …
    pub(super) phase: Option<String>,
    /// Files that it has to process so far.
    pub(super) total_files: Option<u64>,
    /// Files that it has processed.
    pub(super) processed_files: Option<u64>,
    /// Bytes that it has to process so far.
    pub(super) total_bytes: Option<u64>,
    /// Bytes that it has processed.
    pub(super) processed_bytes: Option<u64>,
    /// Where it runs on another host: when the lock of the target expires, if its process is dead.
    pub(super) lock_expires_at: Option<String>,
}

/// Every answer but those of success.
#[derive(Debug, ApiResponse)]
pub(super) enum ApiError {
    /// The request makes no sense; `error` and `detail` say why. Nothing was done.
    #[oai(status = 400)]
    BadRequest(Json<ErrorBody>),
    /// No token, or one that is unknown, expired or disabled.
    #[oai(status = 401)]
    Unauthorized(Json<ErrorBody>),
    /// The token lacks the permission: `admin`, or, for the check, `read`.
    #[oai(status = 403)]
    Forbidden(Json<ErrorBody>),
    /// No such backup, operation or path.
    #[oai(status = 404)]
    NotFound(Json<ErrorBody>),
    /// The body did not arrive within 30 s.
    #[oai(status = 408)]
    #[allow(
        dead_code,
        reason = "answered before the request gets here; declared for the document"
    )]
    TooSlow(Json<ErrorBody>),
    /// Another operation runs. For a cancel: no operation runs. For a deletion also: the backup is
    /// pinned.
    #[oai(status = 409)]
    Conflict(
        Json<ErrorBody>,
        /// After how many seconds to ask again; absent where that would not help.
        #[oai(header = "Retry-After")]
        Option<u64>,
    ),
    /// The body is larger than 1 MiB.
    #[oai(status = 413)]
    #[allow(
        dead_code,
        reason = "answered before the request gets here; declared for the document"
    )]
    TooLarge(Json<ErrorBody>),
    /// No byte of the file is in the range.
    #[oai(status = 416)]
    NotInRange(
        Json<ErrorBody>,
        /// `bytes */` and the size of the file.
        #[oai(header = "Content-Range")]
        String,
    ),
    /// The backup is damaged, or can't be read now because it is archived or the credentials may
    /// not read it; `detail` says which. Or the `Idempotency-Key` was used for another request.
    #[oai(status = 422)]
    Damaged(Json<ErrorBody>),
    /// An error of the service itself, or of the disk that it works on.
    #[oai(status = 500)]
    Internal(Json<ErrorBody>),
    /// The target refused the request or its credentials, or its answer makes no sense; `error`
    /// names the target.
    #[oai(status = 502)]
    BadTarget(Json<ErrorBody>),
    /// The target can't be reached or throttles, or the service is ending: ask again later.
    #[oai(status = 503)]
    Unavailable(
        Json<ErrorBody>,
        /// After how many seconds to ask again.
        #[oai(header = "Retry-After")]
        u64,
    ),
    /// The target, or the disk that the service works on, is full.
    #[oai(status = 507)]
    Full(Json<ErrorBody>),
}

/// After how many seconds a client asks again while another operation runs, or a target can't be
/// reached.
const RETRY_AFTER_SECS: u64 = 10;

pub(super) fn error_body(error: impl Into<String>) -> ErrorBody {
    ErrorBody {
        error: error.into(),
        ..ErrorBody::default()
    }
}

impl ApiError {
    /// The request makes no sense.
    pub(super) fn bad(error: &str, detail: impl Into<Option<String>>) -> Self {
        Self::BadRequest(Json(ErrorBody {
            detail: detail.into(),
            ..error_body(error)
        }))
    }

    /// An error of a target, with the text to show.
    fn of_target(fault: &CoreError, text: String) -> Self {
        let text = Json(error_body(text));
        match fault.kind() {
            ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::Busy => {
                Self::Unavailable(text, RETRY_AFTER_SECS)
            }
            ErrorKind::NoSpace => Self::Full(text),
            _ => Self::BadTarget(text),
        }
    }

    /// The key of the request was used for another one.
    pub(super) fn other_request() -> Self {
        Self::Damaged(Json(ErrorBody {
            detail: Some("use a new key for each request, the same only to repeat one".to_owned()),
            ..error_body("This Idempotency-Key was used for another request")
        }))
    }

    /// Another operation has to end first.
    pub(super) fn busy(text: ErrorBody) -> Self {
        Self::Conflict(Json(text), Some(RETRY_AFTER_SECS))
    }

    /// A pin keeps the backup.
    fn pinned(id: &str, detail: &str) -> Self {
        let text = ErrorBody {
            detail: Some(format!(
                "{id} is pinned{detail}; DELETE /api/v1/backup/{id}/pin lets it be deleted"
            )),
            ..error_body("Backup is pinned")
        };
        Self::Conflict(Json(text), None)
    }

    /// The operation of this request has failed: `text` is the error in its status, `cause` the
    /// reason.
    pub(super) fn of_operation(cause: Option<&Error>, text: String) -> Self {
        match cause.map(Error::root) {
            Some(Error::Target { error, .. }) => Self::of_target(error, text),
            Some(Error::Pinned { id, detail }) => Self::pinned(id, detail),
            Some(Error::Storage(error)) if error.kind() == ErrorKind::NoSpace => {
                Self::Full(Json(error_body(text)))
            }
            Some(Error::Cancelled(_)) => {
                Self::Unavailable(Json(error_body(text)), RETRY_AFTER_SECS)
            }
            // Another backup, which may need files of this one.
            Some(Error::Damaged { .. } | Error::Unreadable { .. }) => {
                Self::Damaged(Json(error_body(text)))
            }
            _ => Self::Internal(Json(error_body(text))),
        }
    }

    fn of_busy(busy: Busy) -> Self {
        let Busy {
            holder,
            progress,
            lock_expires_at,
        } = busy;
        let count = |of: fn(&BusyProgress) -> u64| progress.as_ref().map(of);
        Self::busy(ErrorBody {
            status: Some("running".to_owned()),
            operation: Some(holder.operation),
            operation_id: Some(holder.operation_id),
            pid: Some(holder.pid),
            host: Some(holder.host),
            started_at: holder.started_at.map(|started| started.to_string()),
            total_files: count(|progress| progress.total_files),
            processed_files: count(|progress| progress.processed_files),
            total_bytes: count(|progress| progress.total_bytes),
            processed_bytes: count(|progress| progress.processed_bytes),
            phase: progress.and_then(|progress| progress.phase),
            lock_expires_at: lock_expires_at.map(|expires| expires.to_string()),
            ..error_body("A backup or restore operation is already in progress")
        })
    }

    pub(super) fn denied(denied: &Denied) -> Self {
        let body = Json(ErrorBody {
            success: Some(false),
            ..error_body(denied.to_string())
        });
        match denied.status() {
            403 => Self::Forbidden(body),
            _ => Self::Unauthorized(body),
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let context = match &error {
            Error::Context { context, .. } => Some(context.clone()),
            _ => None,
        };
        let with_context = |detail: String| match &context {
            Some(context) => format!("{detail}; {context}"),
            None => detail,
        };
        match error.into_root() {
            Error::InvalidId(_) => Self::bad("Invalid backup ID format", None),
            Error::Invalid(_) | Error::Config(_) => Self::bad(&text, None),
            Error::UnknownSchedule { hint, .. } => Self::NotFound(Json(ErrorBody {
                detail: Some(hint),
                ..error_body("Schedule not found")
            })),
            Error::NotFound(_) => Self::NotFound(Json(ErrorBody {
                detail: context,
                ..error_body("Backup not found")
            })),
            Error::NoSuchFile { path, .. } => Self::NotFound(Json(ErrorBody {
                detail: Some(format!("the backup has no file {path:?}")),
                ..error_body("File not found")
            })),
            Error::UnknownOperation(_) => Self::NotFound(Json(ErrorBody {
                detail: Some(text),
                ..error_body("Operation not found")
            })),
            Error::Incomplete(_) => Self::NotFound(Json(error_body(text))),
            Error::Damaged { id, detail } => Self::Damaged(Json(ErrorBody {
                detail: Some(with_context(detail)),
                ..error_body(format!("Backup {id} is damaged"))
            })),
            Error::Unreadable { id, detail, .. } => Self::Damaged(Json(ErrorBody {
                detail: Some(with_context(detail)),
                ..error_body(format!("Backup {id} can't be read now"))
            })),
            Error::Pinned { id, detail } => Self::pinned(&id, &detail),
            Error::Busy(busy) => Self::of_busy(*busy),
            Error::Target { error: fault, .. } if fault.kind() != ErrorKind::Cancelled => {
                tracing::error!(error = %text, cause = ?fault, "request failed");
                Self::of_target(&fault, text)
            }
            // The service ends, or no storage answered within the operation's time limit.
            Error::Cancelled(_) | Error::Target { .. } => {
                Self::Unavailable(Json(error_body(text)), RETRY_AFTER_SECS)
            }
            Error::Storage(fault) if fault.kind() == ErrorKind::NoSpace => {
                tracing::error!(error = %text, "request failed");
                Self::Full(Json(error_body(text)))
            }
            _ => {
                tracing::error!(error = %text, "request failed");
                Self::Internal(Json(error_body(text)))
            }
        }
    }
}
