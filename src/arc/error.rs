//! Why Arc did not do what it was asked for.

use std::time::Duration;

/// The setting of Arc's address.
const URL: &str = "backup.arc_url";
/// The setting of the token.
const TOKEN: &str = "backup.arc_token";

/// Why Arc did not do what it was asked for. Its text names the address and what to do; no variant
/// holds a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArcError {
    /// Nobody listens at the address.
    #[error("cannot reach `{url}` (`backup.arc_url`): {source}")]
    Refused {
        url: String,
        #[source]
        source: ureq::Error,
    },
    /// The certificate is not one that this system trusts.
    #[error(
        "cannot reach `{url}` (`backup.arc_url`): {source}: the certificate must be one that this system trusts, or that an \
         issuer named in `SSL_CERT_FILE` has signed"
    )]
    Untrusted {
        url: String,
        #[source]
        source: ureq::Error,
    },
    /// Arc cannot be reached for another reason.
    #[error("cannot reach `{url}` (`backup.arc_url`): {source}")]
    Unreachable {
        url: String,
        #[source]
        source: ureq::Error,
    },
    /// There was no answer in time.
    #[error("`{url}` (`backup.arc_url`) did not answer within {} s", timeout.as_secs())]
    Timeout { url: String, timeout: Duration },
    /// The token has bytes that no header can carry.
    #[error(
        "cannot send the token in a header to `{url}`: set `backup.arc_token` to an admin's token"
    )]
    InvalidToken { url: String },
    /// Arc refuses the token, or asks for one.
    #[error("`{url}` {} (HTTP {status}): set `backup.arc_token` to an admin's", if *has_token { "refuses the token" } else { "asks for a token" })]
    Denied {
        url: String,
        status: u16,
        has_token: bool,
    },
    /// Arc knows the token, which is not an admin's.
    #[error("`{url}`: the token is not an admin's, and so cannot flush")]
    NotAdmin { url: String },
    /// Arc has no such path.
    #[error("`{url}` has no {path} (HTTP {status}): check that `backup.arc_url` is Arc's address")]
    NoSuchPath {
        url: String,
        path: &'static str,
        status: u16,
    },
    /// Arc redirects, which is not followed: the token is for one address only.
    #[error(
        "`{url}` redirects (HTTP {status}), and the token is not sent to another address: set `backup.arc_url` to the address \
         that it redirects to"
    )]
    Redirect { url: String, status: u16 },
    /// Arc failed.
    #[error("`{url}` (`backup.arc_url`) answered HTTP {status}: see Arc's log")]
    Status { url: String, status: u16 },
    /// Arc's answer is not of the form that is expected.
    #[error("`{url}{path}` gave an unexpected answer: {source}")]
    UnexpectedAnswer {
        url: String,
        path: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// The task that asks has failed.
    #[error("internal fault: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl ArcError {
    /// The error of the client for a request to `url`.
    pub(super) fn of_request(url: &str, source: ureq::Error) -> Self {
        let url = url.to_owned();
        match &source {
            ureq::Error::Http(_) => Self::InvalidToken { url },
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Self::Refused { url, source }
            }
            error if is_untrusted(error) => Self::Untrusted { url, source },
            _ => Self::Unreachable { url, source },
        }
    }

    /// The error that a status which is not one of success stands for.
    pub(super) fn of_status(url: &str, path: &'static str, status: u16, has_token: bool) -> Self {
        let url = url.to_owned();
        match status {
            401 | 403 => Self::Denied {
                url,
                status,
                has_token,
            },
            404 | 405 => Self::NoSuchPath { url, path, status },
            300..=399 => Self::Redirect { url, status },
            _ => Self::Status { url, status },
        }
    }

    /// Whether Arc has answered, and so runs.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Denied { .. }
            | Self::NotAdmin { .. }
            | Self::NoSuchPath { .. }
            | Self::Redirect { .. }
            | Self::Status { .. }
            | Self::UnexpectedAnswer { .. } => true,
            Self::Refused { .. }
            | Self::Untrusted { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::InvalidToken { .. }
            | Self::Task(_) => false,
        }
    }

    /// The setting to look at.
    pub(crate) fn setting(&self) -> &'static str {
        match self {
            Self::InvalidToken { .. } | Self::Denied { .. } | Self::NotAdmin { .. } => TOKEN,
            _ => URL,
        }
    }

    /// What an operator can do.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::InvalidToken { .. } | Self::Denied { .. } | Self::NotAdmin { .. } => {
                "set it to an admin's token of Arc"
            }
            Self::NoSuchPath { .. }
            | Self::Redirect { .. }
            | Self::Status { .. }
            | Self::UnexpectedAnswer { .. } => {
                "set it to Arc's own address, such as http://localhost:8000"
            }
            Self::Untrusted { .. } => {
                "name the file with the certificate of the issuer in `SSL_CERT_FILE`, or give Arc a certificate that \
                 this system trusts"
            }
            Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Task(_) => "check that Arc runs and listens there",
        }
    }
}

/// Whether TLS failed because of Arc's certificate.
fn is_untrusted(error: &ureq::Error) -> bool {
    let of_tls = match error {
        ureq::Error::Rustls(error) => Some(error),
        // A handshake fails while bytes are read or written.
        ureq::Error::Io(error) => error.get_ref().and_then(|source| source.downcast_ref()),
        _ => None,
    };
    matches!(of_tls, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Guards against a remedy for another fault than the one that happened.
    #[test]
    fn errors_of_the_client_are_known_by_their_types() {
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let of_io = |kind, error: rustls::Error| ureq::Error::Io(io::Error::new(kind, error));
        let of = |error| ArcError::of_request("https://arc:8000", error);
        let error = of(of_io(io::ErrorKind::InvalidData, untrusted));
        assert!(matches!(error, ArcError::Untrusted { .. }), "{error:?}");
        assert!(error.remedy().contains("SSL_CERT_FILE"));
        let other = rustls::Error::HandshakeNotComplete;
        let error = of(of_io(io::ErrorKind::InvalidData, other));
        assert!(matches!(error, ArcError::Unreachable { .. }), "{error:?}");
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = of(ureq::Error::Io(refused));
        assert!(matches!(error, ArcError::Refused { .. }), "{error:?}");
        assert!(!error.is_answer() && error.setting() == "backup.arc_url");
    }
}
