//! What Azure answers, and the one place where it becomes an [`Error`].

use std::time::SystemTime;

use arc_backup_core::remote::{LOOKUP_MAX_ATTEMPTS, SET_CLOCK, clock_fault, is_failed_lookup};
use arc_backup_core::{Error, ErrorKind};
use azure_core::error::ErrorKind as SdkKind;
use azure_core::http::RawResponse;
use azure_core::http::headers::HeaderName;
use azure_core::time::parse_rfc7231;

use crate::account::{Account, Credentials};

/// The time of an answer, by the store's clock.
const DATE: HeaderName = HeaderName::from_static("date");

/// What the store answered: kept as the source of an [`Error`], for the log and for those who
/// decide by its code. Holds nothing of the request.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status} {code}: {message}")]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// What is wrong with this machine's clock, by the time of the answer.
    pub(crate) clock: Option<String>,
}

/// Whether the store does not know who asks.
fn is_unauthenticated(answer: &Answer) -> bool {
    let codes = [
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
        "NoAuthenticationInformation",
    ];
    // Azurite has the code for what is not allowed, with the words for who is not known.
    let is_said = answer.code == "AuthorizationFailure"
        && answer
            .message
            .contains("failed to authenticate the request");
    answer.status == 401
        || answer.status == 403 && (codes.contains(&answer.code.as_str()) || is_said)
}

/// The store's code in an error: `BlobNotFound`.
pub(crate) fn code_of(error: &Error) -> Option<&str> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(answer) = error.downcast_ref::<Answer>() {
            return Some(&answer.code);
        }
        source = error.source();
    }
    None
}

/// The error for what was there and is another thing now.
pub(crate) fn changed(operation: &'static str, subject: &str) -> Error {
    Error::new(
        ErrorKind::Changed,
        operation,
        subject,
        "it has changed since it was listed",
    )
}

/// The error for what is not there.
pub(crate) fn absent(operation: &'static str, subject: &str) -> Error {
    Error::new(ErrorKind::NotFound, operation, subject, "it does not exist")
}

/// The last of several causes in one line.
fn last_cause(causes: &str) -> &str {
    causes.rsplit(": ").next().unwrap_or(causes)
}

/// Turns faults into errors that name the setting to look at.
#[derive(Debug)]
pub(crate) struct Faults {
    host: String,
    endpoint_setting: &'static str,
    container: String,
    credentials: Credentials,
}

impl Faults {
    pub(crate) fn new(account: &Account, container: &str) -> Self {
        let host = account.endpoint.host_str().unwrap_or_default();
        Self {
            host: match account.endpoint.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            },
            endpoint_setting: account.endpoint_setting,
            container: container.to_owned(),
            credentials: account.credentials.clone(),
        }
    }

    /// The error that a caller sees, who asked to `operation` the `subject`.
    pub(crate) fn about(
        &self,
        operation: &'static str,
        subject: &str,
        fault: &azure_core::Error,
    ) -> Error {
        let error = |kind, detail: String| Error::new(kind, operation, subject, detail);
        match fault.kind() {
            SdkKind::HttpResponse {
                status,
                error_code,
                raw_response,
            } => self.answered(
                operation,
                subject,
                answer(
                    (*status).into(),
                    error_code.as_deref(),
                    raw_response.as_deref(),
                ),
            ),
            SdkKind::Connection if is_failed_lookup(&fault.to_string()) => error(
                ErrorKind::Unavailable,
                format!(
                    "the host `{}` is not found: {}; see `{}` and this machine's name server",
                    self.host.split(':').next().unwrap_or_default(),
                    last_cause(&fault.to_string()),
                    self.endpoint_setting
                ),
            )
            .retryable_at_most(LOOKUP_MAX_ATTEMPTS)
            .with_setting(self.endpoint_setting)
            .with_remedy(format!(
                "correct `{}`, or this machine's name server",
                self.endpoint_setting
            )),
            SdkKind::Connection => error(
                ErrorKind::Unavailable,
                format!(
                    "cannot connect to {}: {fault}: check `{}` and the network",
                    self.host, self.endpoint_setting
                ),
            )
            .with_setting(self.endpoint_setting)
            .retryable(),
            SdkKind::Io => error(
                ErrorKind::Unavailable,
                format!("the connection to {} broke: {fault}", self.host),
            )
            .retryable(),
            // An answer that is no XML was damaged, or is a proxy's.
            SdkKind::DataConversion => error(
                ErrorKind::Corrupt,
                format!("the answer of {} makes no sense", self.host),
            )
            .retryable(),
            SdkKind::Credential => error(
                ErrorKind::PermissionDenied,
                format!(
                    "no credentials: Entra ID gave no token ({fault}); check {}",
                    self.credentials_to_check()
                ),
            )
            .with_setting(self.credentials_setting())
            .with_remedy(self.credentials_remedy()),
            SdkKind::Other => error(ErrorKind::Other, first_line(&fault.to_string())),
        }
    }

    fn answered(&self, operation: &'static str, subject: &str, answer: Answer) -> Error {
        let Answer {
            status,
            code,
            message,
            ..
        } = &answer;
        let said = if message.is_empty() {
            format!("{status} {code}")
        } else {
            format!("{message} ({status} {code})")
        };
        let (kind, detail, retryable) = match (*status, code.as_str()) {
            (_, "ContainerNotFound" | "ContainerBeingDeleted" | "ContainerDisabled") => (
                ErrorKind::Unavailable,
                format!(
                    "the container `{}` does not exist or is being deleted ({code}): check `azure_container`",
                    self.container
                ),
                false,
            ),
            (404, _) => (ErrorKind::NotFound, "it does not exist".to_owned(), false),
            _ if is_unauthenticated(&answer) => (
                ErrorKind::PermissionDenied,
                match &answer.clock {
                    Some(clock) => format!("{clock}; set the clock: {said}"),
                    None => self.not_authenticated(&said),
                },
                false,
            ),
            (403, _) => (
                ErrorKind::PermissionDenied,
                self.not_allowed(operation, &said),
                false,
            ),
            (409, "BlobAlreadyExists") => (
                ErrorKind::AlreadyExists,
                "it exists already".to_owned(),
                false,
            ),
            (409, "BlobArchived" | "BlobBeingRehydrated") => (
                ErrorKind::Archived,
                format!(
                    "it lies in the archive tier: rehydrate it in the store first, then try again: {said}"
                ),
                false,
            ),
            (409, "PendingCopyOperation") => (ErrorKind::Busy, said, false),
            (409, "SnapshotsPresent") => (
                ErrorKind::Unsupported,
                "it has snapshots, which are not deleted with it: delete them first".to_owned(),
                false,
            ),
            (409 | 412, "LeaseIdMissing") => (
                ErrorKind::Busy,
                format!("somebody holds a lease on it: {said}"),
                false,
            ),
            (409 | 412, code) if code.starts_with("Lease") => (ErrorKind::Busy, said, false),
            (412, _) => (
                ErrorKind::Changed,
                "it has changed since it was listed".to_owned(),
                false,
            ),
            // Azurite says InvalidOperation; nothing else that is asked here can be answered so.
            (400, "Md5Mismatch" | "InvalidMd5" | "InvalidOperation") => (
                ErrorKind::Corrupt,
                format!("its bytes arrived damaged at the store: {said}"),
                true,
            ),
            (429 | 503, _) => (ErrorKind::Throttled, said, true),
            (_, "FeatureNotSupported" | "NotImplemented") | (501, _) => {
                (ErrorKind::Unsupported, said, false)
            }
            (408 | 500.., _) => (ErrorKind::Unavailable, said, true),
            (413, _) => (
                ErrorKind::Invalid,
                format!("it is too large for one request: {said}"),
                false,
            ),
            // That a name can't be is said of a key; all else says nothing of what is there.
            (400, "InvalidUri" | "InvalidResourceName") => (ErrorKind::Invalid, said, false),
            _ => (ErrorKind::Other, said, false),
        };
        let (setting, remedy) = (self.setting_of(&answer), self.remedy(&answer));
        let error = Error::new(kind, operation, subject, detail).with_source(answer);
        let error = match setting {
            Some(setting) => error.with_setting(setting),
            None => error,
        };
        let error = match remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        };
        if retryable { error.retryable() } else { error }
    }

    /// The setting that decides about an answer.
    fn setting_of(&self, answer: &Answer) -> Option<&'static str> {
        let is_container = [
            "ContainerNotFound",
            "ContainerBeingDeleted",
            "ContainerDisabled",
        ]
        .contains(&answer.code.as_str());
        match &self.credentials {
            _ if is_container => Some("azure_container"),
            _ if is_unauthenticated(answer) => {
                (answer.clock.is_none()).then(|| self.credentials_setting())
            }
            _ if answer.status != 403 => None,
            // A role is granted for a container.
            Credentials::Identity { .. } => Some("azure_container"),
            Credentials::Key { .. } | Credentials::Sas(_) => Some(self.credentials_setting()),
        }
    }

    /// The setting of the credentials, or one of those that give some.
    fn credentials_setting(&self) -> &'static str {
        match &self.credentials {
            Credentials::Key { setting, .. } => setting,
            Credentials::Sas(sas) => sas.setting,
            Credentials::Identity { managed_only: true } => "azure_use_managed_identity",
            Credentials::Identity {
                managed_only: false,
            } => "azure_connection_string",
        }
    }

    /// What to do about an answer, where that is more than its kind says.
    fn remedy(&self, answer: &Answer) -> Option<String> {
        if !is_unauthenticated(answer) {
            let is_expired =
                matches!(&self.credentials, Credentials::Sas(sas) if sas.out_of_time().is_some());
            return (answer.status == 403 && is_expired).then(|| self.credentials_remedy());
        }
        Some(match answer.clock {
            Some(_) => SET_CLOCK.to_owned(),
            None => self.credentials_remedy(),
        })
    }

    /// What to do where the credentials are missing, or are no good.
    fn credentials_remedy(&self) -> String {
        match &self.credentials {
            Credentials::Key {
                account, setting, ..
            } => format!("set `{setting}` to a key of the account `{account}` as it is now: keys are rotated"),
            Credentials::Sas(sas) => {
                format!("make a new shared access signature, and set `{}` to it", sas.setting)
            }
            Credentials::Identity { managed_only: true } => "give this machine or pod a managed identity with the role \
                `Storage Blob Data Contributor` (AZURE_CLIENT_ID names a user-assigned one), or set `azure_account_key` or \
                `azure_sas_token`"
                .to_owned(),
            Credentials::Identity {
                managed_only: false,
            } => "set `azure_connection_string`, `azure_account_key` (with `azure_account_name`) or `azure_sas_token`, or give this \
                process an identity: the variables AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, a managed identity, or \
                `az login`"
                .to_owned(),
        }
    }

    /// What to look at where the store does not know who asks.
    fn not_authenticated(&self, said: &str) -> String {
        match &self.credentials {
            Credentials::Key {
                account, setting, ..
            } => format!(
                "the store refuses the signature: check the key in `{setting}`, that it is one of the account \
                 `{account}`, and this machine's clock: {said}"
            ),
            Credentials::Sas(sas) => match sas.out_of_time() {
                Some(reason) => format!("{reason}: {said}"),
                None => format!(
                    "the store refuses the SAS token of `{}`: check that it is whole, for this account and \
                     container, not revoked, and this machine's clock: {said}",
                    sas.setting
                ),
            },
            Credentials::Identity { .. } => {
                format!(
                    "the store refuses the token of Entra ID: check {}: {said}",
                    self.credentials_to_check()
                )
            }
        }
    }

    /// What to look at where the store knows who asks, and does not let it.
    fn not_allowed(&self, operation: &'static str, said: &str) -> String {
        let (letters, action) = match operation {
            "read" => ("r", "blobs/read"),
            "list" => ("l", "blobs/read"),
            "delete" => ("d", "blobs/delete"),
            "copy" | "set aside" => ("rcw", "blobs/read, blobs/write and blobs/add/action"),
            "read the lock" => ("r", "blobs/read"),
            "lock" | "hold the lock" | "release" => ("rcwd", "blobs/write and blobs/delete"),
            _ => ("cw", "blobs/write and blobs/add/action"),
        };
        match &self.credentials {
            Credentials::Key { setting, .. } => format!(
                "the account does not allow it, although the key in `{setting}` is right: check its firewall and \
                 whether keys may be used: {said}"
            ),
            Credentials::Sas(sas) => {
                if let Some(reason) = sas.out_of_time() {
                    return format!("{reason}: {said}");
                }
                let missing: String = letters
                    .chars()
                    .filter(|&letter| !sas.grants(letter))
                    .collect();
                let missing = if missing.is_empty() {
                    letters
                } else {
                    &missing
                };
                format!(
                    "the SAS token of `{}` does not allow it: it needs the permission `{missing}`: {said}",
                    sas.setting
                )
            }
            Credentials::Identity { .. } => format!(
                "the identity may not do it: assign it the role `Storage Blob Data Contributor` for the container \
                 `{}` of `azure_container`, or one with {action}: {said}",
                self.container
            ),
        }
    }

    /// The same, for a message: what to check.
    fn credentials_to_check(&self) -> String {
        match &self.credentials {
            Credentials::Key { setting, .. } => format!("`{setting}`"),
            Credentials::Sas(sas) => format!("`{}`", sas.setting),
            Credentials::Identity { managed_only: true } => {
                "`azure_use_managed_identity` and the identity of this machine or pod".to_owned()
            }
            Credentials::Identity {
                managed_only: false,
            } => {
                "that one of `azure_connection_string`, `azure_sas_token`, `azure_account_key` or \
                 `azure_use_managed_identity` is set, or the environment has an identity"
                    .to_owned()
            }
        }
    }
}

fn answer(status: u16, code: Option<&str>, response: Option<&RawResponse>) -> Answer {
    let body = response
        .map(|response| response.body().as_ref())
        .unwrap_or_default();
    let body = String::from_utf8_lossy(body);
    // In place of a missing code the SDK puts the status.
    let code = code
        .filter(|code| code.parse::<u16>().is_err())
        .or_else(|| element(&body, "Code"))
        .unwrap_or_default();
    Answer {
        status,
        code: code.to_owned(),
        message: first_line(element(&body, "Message").unwrap_or_default()),
        clock: response.and_then(|response| {
            let date = response.headers().get_optional_str(&DATE)?;
            clock_fault(parse_rfc7231(date).ok()?.into(), SystemTime::now())
        }),
    }
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// The first line of a message, which ends in ids and times, as a part of a sentence.
fn first_line(text: &str) -> String {
    let line = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .trim_end_matches('.');
    let mut characters = line.chars().take(300);
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
