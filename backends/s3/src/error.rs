//! What S3 answers, and the one place where it becomes an [`Error`].

use std::error::Error as StdError;

use arc_backup_core::remote::{SET_CLOCK, is_failed_lookup};
use arc_backup_core::{Error, ErrorKind};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::call::Call;
use crate::cause::{Cause, chain, innermost};
use crate::destination::Destination;
use crate::diagnosis::{Diagnosis, fatal, retry};
use crate::transport::TransportFault;

/// What to do where a store does not know the checksums.
const CHECKSUM_HINT: &str =
    "; where it is the checksum that it refuses, set `s3_checksums = \"when_required\"`";

/// The code that a bare refusal, an answer without a body, is given here.
const BARE: &str = "";

/// A fault, before it is known what it means to the caller.
#[derive(Debug)]
pub(crate) struct RequestFault {
    /// The status of the answer; 0 where there was none.
    pub(crate) status: u16,
    /// The code in the answer; empty where there was none.
    pub(crate) code: String,
    message: String,
    /// What went wrong on the way, where there was no answer.
    transport: Option<TransportFault>,
    cause: String,
}

impl RequestFault {
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + 'static,
    {
        let cause = chain(error);
        let answer = error.raw_response().map_or(0, |raw| raw.status().as_u16());
        let meta = error.as_service_error().map(ProvideErrorMetadata::meta);
        let text = |text: Option<&str>| text.unwrap_or(BARE).to_owned();
        let missing = TransportFault::of_credentials(error);
        let transport = match error {
            // A success that can't be read: its bytes were damaged on the way.
            SdkError::ServiceError(_)
                if (200..300).contains(&answer) && meta.and_then(|meta| meta.code()).is_none() =>
            {
                Some(TransportFault::Answer)
            }
            SdkError::ServiceError(_) => None,
            SdkError::TimeoutError(_) => Some(TransportFault::Timeout),
            // It broke off, or is not from a store at all. Its status alone says too little: a 404
            // may be the object's, the upload's or the bucket's.
            SdkError::ResponseError(_) => Some(TransportFault::Answer),
            _ if missing.is_some() => missing,
            _ if is_failed_lookup(&cause) => Some(TransportFault::Name),
            _ if cause.contains("certificate") || cause.contains("InvalidContentType") => {
                Some(TransportFault::Certificate)
            }
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                Some(TransportFault::Timeout)
            }
            SdkError::ConstructionFailure(_) => Some(TransportFault::Request),
            _ => Some(TransportFault::Connection),
        };
        Self {
            status: answer,
            code: text(meta.and_then(|meta| meta.code())),
            message: text(meta.and_then(|meta| meta.message())),
            transport,
            cause,
        }
    }

    /// An answer about one of several things that a request was about.
    pub(crate) fn answer(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            transport: None,
            cause: format!("{code}: {message}"),
        }
    }

    /// A body that broke off.
    pub(crate) fn broken(error: &(dyn StdError + 'static)) -> Self {
        Self {
            status: 0,
            code: BARE.to_owned(),
            message: String::new(),
            transport: Some(TransportFault::Connection),
            cause: chain(error),
        }
    }

    /// Whether the object is not there, as far as this answer says.
    pub(crate) fn is_absent(&self) -> bool {
        match self.code.as_str() {
            "NoSuchKey" | "NotFound" => true,
            "NoSuchBucket" | "NoSuchUpload" => false,
            _ => self.status == 404,
        }
    }

    /// Whether a condition of the request does not hold.
    pub(crate) fn is_unmet(&self) -> bool {
        self.status == 412 || self.code == "PreconditionFailed"
    }

    /// Whether the upload is not there any more.
    pub(crate) fn is_no_upload(&self) -> bool {
        self.code == "NoSuchUpload"
    }

    /// Whether the request is refused because it has no `Content-MD5`.
    pub(crate) fn lacks_md5(&self) -> bool {
        let said = format!("{} {}", self.code, self.message).to_ascii_lowercase();
        self.status == 400 && (said.contains("content-md5") || said.contains("contentmd5"))
    }

    /// Whether it may be a checksum that the store refuses: it says so, or says nothing at all.
    fn may_be_checksum(&self) -> bool {
        let said = format!("{} {}", self.code, self.message).to_ascii_lowercase();
        said.contains("checksum") || (self.status == 400 && self.code == BARE)
    }

    /// Whether the range starts behind the end.
    pub(crate) fn is_behind_end(&self) -> bool {
        self.status == 416 || self.code == "InvalidRange"
    }

    /// Whether nobody gave any credentials to ask with.
    pub(crate) fn lacks_credentials(&self) -> bool {
        matches!(
            self.transport,
            Some(TransportFault::NoCredentials | TransportFault::NoCredentialsNow)
        )
    }

    /// Whether it refuses without a word of the reason, as answers to HEAD do.
    pub(crate) fn is_bare(&self) -> bool {
        matches!(self.status, 301 | 307 | 400 | 401 | 403)
            && matches!(self.code.as_str(), BARE | "Forbidden" | "BadRequest")
    }

    /// The error that a caller sees.
    pub(crate) fn about(&self, call: Call<'_>, destination: &Destination) -> Error {
        let diagnosis = match self.transport {
            Some(transport) => transport.diagnosis(&self.cause, self.status, destination),
            None => self.answered(call, destination),
        };
        diagnosis
            .into_error(call)
            .with_source(Cause(self.cause.clone()))
    }

    fn answered(&self, call: Call<'_>, destination: &Destination) -> Diagnosis {
        let Destination { bucket, region, .. } = destination;
        let (keys, keys_setting) = match destination.has_keys {
            true => ("`s3_access_key`", Some("s3_access_key")),
            false => ("the credentials of the environment", None),
        };
        let (checksum_hint, checksum_setting) = match destination.sends_checksums {
            true => (CHECKSUM_HINT, Some("s3_checksums")),
            false => ("", None),
        };
        match (self.code.as_str(), self.status) {
            ("NoSuchBucket", _) => fatal(
                ErrorKind::Unavailable,
                format!(
                    "there is no bucket `{bucket}`; see `s3_bucket` and `s3_endpoint`{}",
                    destination.path_style_hint()
                ),
            )
            .setting("s3_bucket")
            .remedy("create the bucket, or correct `s3_bucket`"),
            ("NoSuchKey" | "NotFound", _) => {
                fatal(ErrorKind::NotFound, "it does not exist".to_owned())
            }
            ("NoSuchUpload", _) => fatal(
                ErrorKind::Other,
                "its multipart upload was aborted by a lifecycle rule or another process"
                    .to_owned(),
            ),
            (
                "InvalidAccessKeyId"
                | "NotSignedUp"
                | "InvalidClientTokenId"
                | "UnrecognizedClientException",
                _,
            ) => fatal(
                ErrorKind::PermissionDenied,
                format!("the store does not know the access key; see {keys}"),
            )
            .setting(keys_setting)
            .remedy(if destination.has_keys {
                "set `s3_access_key` to a key of this store, and `s3_secret_key` to its secret"
            } else {
                "give this process the credentials of this store, or set `s3_access_key` and `s3_secret_key`"
            }),
            ("SignatureDoesNotMatch", _) => fatal(
                ErrorKind::PermissionDenied,
                "the secret key is not that of the access key; see `s3_secret_key`".to_owned(),
            )
            .setting("s3_secret_key")
            .remedy("set `s3_secret_key` to the secret of the access key, whole and without blanks"),
            (
                "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" | "ExpiredTokenException",
                _,
            ) => fatal(
                ErrorKind::PermissionDenied,
                format!("the session of the credentials has expired or is not valid; see {keys}"),
            )
            .setting(keys_setting)
            .remedy("renew the session (`aws sso login`, a new token), or set keys that do not expire"),
            ("RequestTimeTooSkewed" | "RequestExpired", _) => fatal(
                ErrorKind::PermissionDenied,
                "the clock of this machine and that of the store differ too much; set the clock"
                    .to_owned(),
            )
            .remedy(SET_CLOCK),
            (
                "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "IllegalLocationConstraintException"
                | "IncorrectEndpoint"
                | "TemporaryRedirect",
                _,
            )
            | (_, 301 | 307) => fatal(
                ErrorKind::Unavailable,
                format!(
                    "the bucket `{bucket}` is not in the region `{region}`; see `s3_region` and `s3_endpoint`{}",
                    self.said()
                ),
            )
            .setting("s3_region"),
            (
                "SlowDown"
                | "ServiceUnavailable"
                | "Throttling"
                | "ThrottlingException"
                | "TooManyRequests"
                | "RequestLimitExceeded"
                | "SlowDownRead"
                | "SlowDownWrite"
                | "BandwidthLimitExceeded",
                _,
            )
            | (_, 429 | 503) => retry(
                ErrorKind::Throttled,
                format!("the store asks to slow down{}", self.said()),
            ),
            (
                "BadDigest"
                | "XAmzContentSHA256Mismatch"
                | "XAmzContentChecksumMismatch"
                | "IncompleteBody"
                | "ContentSHA256Mismatch",
                _,
            ) => retry(
                ErrorKind::Corrupt,
                "its bytes arrived damaged at the store".to_owned(),
            ),
            (
                "RequestTimeout"
                | "RequestTimeoutException"
                | "ConditionalRequestConflict"
                | "OperationAborted",
                _,
            )
            | (_, 408) => retry(
                ErrorKind::Unavailable,
                format!("the store did not do it this time{}", self.said()),
            ),
            (
                "QuotaExceeded"
                | "QuotaExceededException"
                | "XMinioAdminBucketQuotaExceeded"
                | "XMinioStorageFull"
                | "InsufficientCapacity",
                _,
            )
            | (_, 507) => fatal(
                ErrorKind::NoSpace,
                format!("the store is full or its quota reached{}", self.said()),
            ),
            ("NotImplemented", _) | (_, 501) => fatal(
                ErrorKind::Unsupported,
                format!(
                    "the store does not know this request{}{checksum_hint}",
                    self.said()
                ),
            )
            .setting(checksum_setting),
            ("MethodNotAllowed", _) | (_, 405) => fatal(
                ErrorKind::Unsupported,
                format!("the store does not allow this request{}", self.said()),
            ),
            ("InvalidObjectState" | "ObjectNotInActiveTierError", _) => fatal(
                ErrorKind::Archived,
                "it lies in an archive storage class: restore it in the store first (`restore-object`), then try again"
                    .to_owned(),
            ),
            ("PreconditionFailed", _) | (_, 412) => fatal(
                ErrorKind::Changed,
                "it has changed since it was listed".to_owned(),
            ),
            ("AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "Forbidden", _)
            | (_, 401 | 403) => fatal(
                ErrorKind::PermissionDenied,
                format!(
                    "access denied: {keys} needs the permission `{}` on the bucket `{bucket}`",
                    call.permission
                ),
            )
            .setting(keys_setting),
            (_, 404) => fatal(ErrorKind::NotFound, "it does not exist".to_owned()),
            ("InternalError", _) | (_, 500..) => retry(
                ErrorKind::Unavailable,
                format!("the store failed{}", self.said()),
            ),
            _ if destination.sends_checksums && self.may_be_checksum() => fatal(
                ErrorKind::Unsupported,
                format!("the store refuses it{}{CHECKSUM_HINT}", self.said()),
            )
            .setting("s3_checksums"),
            (BARE, status) => fatal(
                ErrorKind::Other,
                format!("the store answers with status {status}"),
            ),
            // That a name is too long is said of a key; all else says nothing of what is there.
            ("KeyTooLongError", _) => fatal(
                ErrorKind::Invalid,
                format!("the store refuses its name{}", self.said()),
            ),
            _ => fatal(
                ErrorKind::Other,
                format!("the store refuses it{}", self.said()),
            ),
        }
    }

    /// What the store says itself.
    fn said(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            (BARE, _) if self.status != 0 => format!(" (status {})", self.status),
            (BARE, _) => String::new(),
            (code, "") => format!(" ({code})"),
            (code, message) => format!(" ({code}: {})", message.trim_end_matches('.')),
        }
    }
}

/// The error for a body that broke off on its way here, or came damaged.
pub(crate) fn broken_body(subject: &str, error: &(dyn StdError + 'static)) -> Error {
    let cause = chain(error);
    if cause.contains("checksum mismatch") {
        return damaged(subject).with_source(Cause(cause));
    }
    let detail = format!("the connection broke: {}", innermost(&cause));
    Error::new(ErrorKind::Unavailable, "read", subject, detail)
        .with_source(Cause(cause))
        .retryable()
}

/// The error for bytes that are not those that the store has a checksum of.
pub(crate) fn damaged(subject: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "read",
        subject,
        "its bytes do not match the checksum that the store keeps of it",
    )
    .retryable()
}

/// The error for an object that is not there.
pub(crate) fn absent(operation: &'static str, subject: &str) -> Error {
    Error::new(ErrorKind::NotFound, operation, subject, "it does not exist")
}
