//! What goes wrong before there is an answer.

use std::error::Error as StdError;

use arc_backup_core::ErrorKind;
use arc_backup_core::remote::LOOKUP_MAX_ATTEMPTS;
use aws_credential_types::provider::error::CredentialsError;

use crate::cause::innermost;
use crate::destination::Destination;
use crate::diagnosis::{Diagnosis, fatal, retry};

/// What to do where there are no credentials.
const SET_KEYS: &str = "set `s3_access_key` and `s3_secret_key`, or give this process credentials of AWS: the variables \
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE, with HOME set), or a role of this machine";

/// What goes wrong before there is an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransportFault {
    Connection,
    /// The name of the host is not found.
    Name,
    Answer,
    Timeout,
    Certificate,
    NoCredentials,
    NoCredentialsNow,
    Request,
}

impl TransportFault {
    /// Whether there are no credentials, or none at the moment.
    pub(crate) fn of_credentials(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(cause) = next {
            match cause.downcast_ref() {
                Some(
                    CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_),
                ) => {
                    return Some(Self::NoCredentials);
                }
                Some(_) => return Some(Self::NoCredentialsNow),
                None => next = cause.source(),
            }
        }
        None
    }

    /// What it means, by its causes and the status of an answer that can't be read.
    pub(crate) fn diagnosis(
        self,
        cause: &str,
        status: u16,
        destination: &Destination,
    ) -> Diagnosis {
        let endpoint = match &destination.proxy {
            Some(proxy) => format!("{} (through the proxy {proxy})", destination.endpoint),
            None => destination.endpoint.clone(),
        };
        let innermost = innermost(cause);
        let hint = destination.path_style_hint();
        match self {
            Self::Connection => retry(
                ErrorKind::Unavailable,
                format!("{endpoint} can't be reached: {innermost}; see `s3_endpoint`, `s3_use_ssl` and the network{hint}"),
            )
            .setting("s3_endpoint"),
            Self::Name => not_found(&innermost, destination),
            Self::Answer => retry(
                ErrorKind::Unavailable,
                format!("an answer of {endpoint} with status {status} can't be read: {innermost}; see `s3_endpoint`{hint}"),
            )
            .setting("s3_endpoint"),
            Self::Timeout => retry(
                ErrorKind::Unavailable,
                format!("{endpoint} does not answer in time; see `s3_endpoint` and the network"),
            )
            .setting("s3_endpoint"),
            Self::Certificate => fatal(
                ErrorKind::Unavailable,
                format!("no trusted TLS with {endpoint}: {innermost}; see `s3_endpoint` and `s3_use_ssl`{hint}"),
            )
            .setting("s3_endpoint"),
            Self::NoCredentials => fatal(
                ErrorKind::PermissionDenied,
                "no credentials: `s3_access_key` and `s3_secret_key` are not set, and neither environment, profile, \
                 web identity nor instance role gives any"
                    .to_owned(),
            )
            .setting("s3_access_key")
            .remedy(SET_KEYS),
            Self::NoCredentialsNow => retry(
                ErrorKind::Unavailable,
                format!(
                    "no credentials: `s3_access_key` and `s3_secret_key` are not set, and the environment, profile or role that \
                     should give some does not: {innermost}"
                ),
            )
            .setting("s3_access_key")
            .remedy(SET_KEYS),
            Self::Request => fatal(ErrorKind::Other, format!("no request can be made: {innermost}")),
        }
    }
}

/// The diagnosis of a host that is not found.
fn not_found(innermost: &str, destination: &Destination) -> Diagnosis {
    let host = &destination.host;
    let (detail, setting, remedy) = if let Some(proxy) = &destination.proxy {
        (
            format!("the host of the proxy {proxy} is not found: {innermost}"),
            None,
            "correct the proxy in the environment (HTTPS_PROXY, HTTP_PROXY), or this machine's name server",
        )
    } else if destination.is_bucket_in_host {
        (
            format!(
                "the host `{host}` is not found: {innermost}. The bucket's name stands in front of the endpoint's, as `s3_path_style` is \
                 not true; most stores other than AWS need `s3_path_style = true`"
            ),
            Some("s3_path_style"),
            "set `s3_path_style = true`, or correct `s3_endpoint`",
        )
    } else {
        (
            format!(
                "the host `{host}` is not found: {innermost}; see `s3_endpoint` and this machine's name server"
            ),
            Some("s3_endpoint"),
            "correct `s3_endpoint` (without one: `s3_region`), or this machine's name server",
        )
    };
    retry(ErrorKind::Unavailable, detail)
        .at_most(LOOKUP_MAX_ATTEMPTS)
        .setting(setting)
        .remedy(remedy)
}
