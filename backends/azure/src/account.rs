//! Which account, where, and with which credentials.

use std::fmt;

use arc_backup_core::Result;
use azure_core::base64;
use azure_core::http::Url;

use crate::config::{AzureConfig, given, wrong};
use crate::sas::Sas;

const CONNECTION_STRING: &str = "azure_connection_string";
const ACCOUNT_NAME: &str = "azure_account_name";
const ACCOUNT_KEY: &str = "azure_account_key";
const SAS_TOKEN: &str = "azure_sas_token";
const ENDPOINT: &str = "azure_endpoint";

/// Azurite's public account, for `UseDevelopmentStorage=true`.
const DEVELOPMENT: (&str, &str, &str) = (
    "http://127.0.0.1:10000/devstoreaccount1",
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);

/// A storage account: where it is, and how requests to it are authorised.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The URL that containers are below, without a `/` at its end.
    pub(crate) endpoint: Url,
    /// Which setting says where it is.
    pub(crate) endpoint_setting: &'static str,
    pub(crate) credentials: Credentials,
}

/// How requests are authorised.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// Signed with the account's key.
    Key {
        account: String,
        key: Vec<u8>,
        setting: &'static str,
    },
    /// By a signature in the URL.
    Sas(Sas),
    /// By a token of Entra ID; only of managed or workload identity where that was asked for.
    Identity { managed_only: bool },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key {
                account, setting, ..
            } => {
                write!(
                    f,
                    "Key {{ account: {account:?}, key: REDACTED, setting: {setting:?} }}"
                )
            }
            Self::Sas(sas) => fmt::Debug::fmt(sas, f),
            Self::Identity { managed_only } => {
                write!(f, "Identity {{ managed_only: {managed_only} }}")
            }
        }
    }
}

impl Account {
    pub(crate) fn of(config: &AzureConfig) -> Result<Self> {
        if let Some(text) = given(config.connection_string.as_ref()) {
            return from_connection_string(text);
        }
        let name = given(config.account_name.as_ref());
        let custom = given(config.endpoint.as_ref());
        let endpoint_setting = if custom.is_some() {
            ENDPOINT
        } else {
            ACCOUNT_NAME
        };
        let endpoint = match (custom, name) {
            (Some(text), _) => parse_endpoint(text, name, ENDPOINT)?,
            (None, Some(name)) => {
                check_name(name, ACCOUNT_NAME)?;
                parse_endpoint(&format!("{name}.blob.core.windows.net"), None, ACCOUNT_NAME)?
            }
            (None, None) => {
                return Err(wrong(
                    ACCOUNT_NAME,
                    "it is missing, and so are `azure_connection_string` and `azure_endpoint`",
                ));
            }
        };
        let credentials = if let Some(sas) = given(config.sas_token.as_ref()) {
            Credentials::Sas(Sas::parse(sas, SAS_TOKEN)?)
        } else if let Some(key) = given(config.account_key.as_ref()) {
            let account = match name {
                Some(name) => name.to_owned(),
                None => name_in(&endpoint).ok_or_else(|| {
                    wrong(
                        ACCOUNT_NAME,
                        "it is missing: `azure_account_key` is of no use without",
                    )
                })?,
            };
            Credentials::Key {
                account,
                key: decode_key(key, ACCOUNT_KEY)?,
                setting: ACCOUNT_KEY,
            }
        } else {
            if endpoint.scheme() != "https" {
                return Err(wrong(
                    ENDPOINT,
                    "it is not https, and there is no key or SAS: tokens of an identity are only sent over TLS",
                ));
            }
            Credentials::Identity {
                managed_only: config.use_managed_identity,
            }
        };
        Ok(Self {
            endpoint,
            endpoint_setting,
            credentials,
        })
    }
}

fn from_connection_string(text: &str) -> Result<Account> {
    let mut parts = Vec::new();
    for part in text
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        // The part itself may be a key that was pasted here: it is not shown.
        let (name, value) = part.split_once('=').ok_or_else(|| {
            wrong(
                CONNECTION_STRING,
                "it is not of the form `Name=Value;Name=Value`",
            )
        })?;
        parts.push((name.trim().to_ascii_lowercase(), value.trim()));
    }
    let value = |wanted: &str| {
        parts
            .iter()
            .find_map(|(name, value)| (name == wanted && !value.is_empty()).then_some(*value))
    };
    let (endpoint, name, key) = match value("usedevelopmentstorage") {
        Some(_) => (
            Some(DEVELOPMENT.0),
            Some(DEVELOPMENT.1),
            Some(DEVELOPMENT.2),
        ),
        None => (
            value("blobendpoint"),
            value("accountname"),
            value("accountkey"),
        ),
    };
    let endpoint = match (endpoint, name) {
        (Some(text), _) => parse_endpoint(text, None, CONNECTION_STRING)?,
        (None, Some(name)) => {
            check_name(name, CONNECTION_STRING)?;
            let suffix = value("endpointsuffix").unwrap_or("core.windows.net");
            let scheme = value("defaultendpointsprotocol").unwrap_or("https");
            parse_endpoint(
                &format!("{scheme}://{name}.blob.{suffix}"),
                None,
                CONNECTION_STRING,
            )?
        }
        (None, None) => {
            return Err(wrong(
                CONNECTION_STRING,
                "it has neither `AccountName=` nor `BlobEndpoint=`",
            ));
        }
    };
    let credentials = match (value("sharedaccesssignature"), key) {
        (Some(sas), None) => Credentials::Sas(Sas::parse(sas, CONNECTION_STRING)?),
        (_, Some(key)) => Credentials::Key {
            account: name
                .map(str::to_owned)
                .or_else(|| name_in(&endpoint))
                .ok_or_else(|| {
                    wrong(
                        CONNECTION_STRING,
                        "it has `AccountKey=` and no `AccountName=`",
                    )
                })?,
            key: decode_key(key, CONNECTION_STRING)?,
            setting: CONNECTION_STRING,
        },
        (None, None) => {
            return Err(wrong(
                CONNECTION_STRING,
                "it has neither `AccountKey=` nor `SharedAccessSignature=`",
            ));
        }
    };
    Ok(Account {
        endpoint,
        endpoint_setting: CONNECTION_STRING,
        credentials,
    })
}

fn decode_key(key: &str, setting: &'static str) -> Result<Vec<u8>> {
    // The error of the decoder shows what it met: a piece of the key.
    base64::decode(key).map_err(|_| wrong(setting, "the account key is not base64"))
}

fn check_name(name: &str, setting: &'static str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if (3..=24).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(wrong(
        setting,
        format!("{name:?} is not the name of an account: 3 to 24 lower-case letters and digits"),
    ))
}

/// The URL of an account, from a text with or without scheme.
fn parse_endpoint(text: &str, account: Option<&str>, setting: &'static str) -> Result<Url> {
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let mut url = Url::parse(full.trim_end_matches('/'))
        .map_err(|error| wrong(setting, format!("the endpoint is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong(
            setting,
            "the endpoint is not an http or https URL with a host",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            setting,
            "the endpoint has a query: a SAS belongs into `azure_sas_token`",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(setting, "the endpoint has a user name or password"));
    }
    // An emulator's account is the first segment of the path; an address has no room for it in its
    // name.
    let is_address = url.domain().is_none_or(|domain| domain == "localhost");
    if let (Some(account), true, "" | "/") = (account, is_address, url.path()) {
        url.set_path(account);
    }
    Ok(url)
}

/// The account's name as the endpoint has it.
fn name_in(endpoint: &Url) -> Option<String> {
    let path = endpoint.path().trim_matches('/');
    if !path.is_empty() {
        return Some(path.to_owned());
    }
    let (first, rest) = endpoint.domain()?.split_once('.')?;
    rest.starts_with("blob.").then(|| first.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arc_backup_core::ErrorKind;

    use super::*;

    const KEY: &str = "c2VjcmV0LXNlY3JldA==";

    fn config() -> AzureConfig {
        AzureConfig {
            account_name: Some("arcdata".to_owned()),
            container: "data".to_owned(),
            ..AzureConfig::default()
        }
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Two credentials at once must not make it a matter of luck which one is used: Arc's order.
    #[test]
    fn credentials_have_an_order() {
        let mut config = config();
        config.use_managed_identity = true;
        let kind = |config: &AzureConfig| match Account::of(config).unwrap().credentials {
            Credentials::Key { setting, .. } => setting,
            Credentials::Sas(_) => "sas",
            Credentials::Identity { managed_only: true } => "managed",
            Credentials::Identity {
                managed_only: false,
            } => "chain",
        };
        assert_eq!(kind(&config), "managed");
        config.account_key = some(KEY);
        assert_eq!(kind(&config), "azure_account_key");
        config.sas_token = some("?sv=2021-12-02&sig=abc");
        assert_eq!(kind(&config), "sas");
        config.connection_string = some(&format!("AccountName=other;AccountKey={KEY}"));
        assert_eq!(kind(&config), "azure_connection_string");
        let config = AzureConfig {
            use_managed_identity: false,
            ..self::config()
        };
        assert_eq!(kind(&config), "chain");
    }

    /// Each way to say where the account is must lead there.
    #[test]
    fn endpoints_are_understood() {
        let at = |account: Option<&str>, endpoint: Option<&str>, connection: Option<&str>| {
            let config = AzureConfig {
                account_name: account.map(str::to_owned),
                account_key: some(KEY),
                endpoint: endpoint.map(str::to_owned),
                connection_string: connection.map(str::to_owned),
                ..config()
            };
            Account::of(&config).unwrap().endpoint.to_string()
        };
        assert_eq!(
            at(Some("arcdata"), None, None),
            "https://arcdata.blob.core.windows.net/"
        );
        assert_eq!(
            at(Some("a"), Some("blob.example.org/"), None),
            "https://blob.example.org/"
        );
        let emulator = "http://127.0.0.1:10000/devstoreaccount1";
        assert_eq!(
            at(
                Some("devstoreaccount1"),
                Some("http://127.0.0.1:10000"),
                None
            ),
            emulator
        );
        assert_eq!(at(None, Some(emulator), None), emulator);
        assert_eq!(at(None, None, Some("UseDevelopmentStorage=true")), emulator);
        let china =
            format!("AccountName=abc;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn");
        assert_eq!(
            at(None, None, Some(&china)),
            "https://abc.blob.core.chinacloudapi.cn/"
        );
        let own = format!("BlobEndpoint=https://abc.blob.core.windows.net;AccountKey={KEY}");
        assert_eq!(
            at(None, None, Some(&own)),
            "https://abc.blob.core.windows.net/"
        );
    }

    /// What is wrong must be named by its setting, before the first request, and no secret shown.
    #[test]
    fn garbage_names_its_setting() {
        let cases: [(AzureConfig, &str); 9] = [
            (
                AzureConfig {
                    connection_string: some("hunter2hunter2"),
                    ..config()
                },
                CONNECTION_STRING,
            ),
            (
                AzureConfig {
                    connection_string: some("AccountName=abc;AccountKey=hunter2!"),
                    ..config()
                },
                CONNECTION_STRING,
            ),
            (
                AzureConfig {
                    connection_string: some("AccountKey=aHVudGVyMg=="),
                    ..config()
                },
                CONNECTION_STRING,
            ),
            (
                AzureConfig {
                    connection_string: some("AccountName=abc"),
                    ..config()
                },
                CONNECTION_STRING,
            ),
            (
                AzureConfig {
                    account_key: some("hunter2!"),
                    ..config()
                },
                ACCOUNT_KEY,
            ),
            (
                AzureConfig {
                    sas_token: some("hunter2"),
                    ..config()
                },
                SAS_TOKEN,
            ),
            (
                AzureConfig {
                    account_name: some("Not/A/Name"),
                    account_key: some(KEY),
                    ..config()
                },
                ACCOUNT_NAME,
            ),
            (
                AzureConfig {
                    account_name: None,
                    ..config()
                },
                ACCOUNT_NAME,
            ),
            (
                AzureConfig {
                    endpoint: some("http://a.example/?sig=hunter2"),
                    account_key: some(KEY),
                    ..config()
                },
                ENDPOINT,
            ),
        ];
        for (config, setting) in cases {
            let error = Account::of(&config).unwrap_err();
            assert_eq!(
                (error.kind(), error.subject()),
                (ErrorKind::Invalid, setting),
                "{error}"
            );
            let shown = format!("{error} {error:?} {config:?}");
            assert!(
                !shown.contains("hunter2") && !shown.contains("aHVudGVyMg"),
                "{shown}"
            );
        }
        let plain = AzureConfig {
            endpoint: some("http://a.example"),
            ..config()
        };
        assert_eq!(Account::of(&plain).unwrap_err().subject(), ENDPOINT);
    }

    #[test]
    fn debug_shows_no_secret() {
        let config = AzureConfig {
            account_key: some(KEY),
            ..config()
        };
        let shown = format!("{config:?} {:?}", Account::of(&config).unwrap());
        assert!(
            !shown.contains(KEY) && !shown.contains("secret-secret"),
            "{shown}"
        );
    }
}
