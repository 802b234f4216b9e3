//! What an Azure sink is configured with.

use std::fmt;
use std::time::Duration;

use arc_backup_core::remote::RetryPolicy;
use arc_backup_core::{Error, ErrorKind, Proxies, Result};

/// The settings of an [`AzureSink`](crate::AzureSink), as they stand in `arc.toml` and the
/// environment.
///
/// The first eight are Arc's own (`azure_…`) and a target's prefix. An empty text is as good as
/// none.
/// Credentials are taken in this order: connection string, SAS, account key, managed identity, and
/// without any of them the chain of the environment (workload identity, client secret, managed
/// identity, developer tools).
///
/// ```
/// use arc_backup_azure::{AzureConfig, AzureSink};
///
/// let config = AzureConfig {
///     account_name: Some("arcdata".to_owned()),
///     account_key: Some("bm90IGEgcmVhbCBrZXk=".to_owned()),
///     container: "backups".to_owned(),
///     prefix: Some("site-7".to_owned()),
///     ..AzureConfig::default()
/// };
/// let sink = AzureSink::new(config).expect("the settings are valid");
/// ```
#[derive(Clone)]
pub struct AzureConfig {
    /// `azure_connection_string`: account, credentials and endpoint in one. Where it is there,
    /// nothing else of these is looked at but container and prefix.
    pub connection_string: Option<String>,
    /// `azure_account_name`.
    pub account_name: Option<String>,
    /// `azure_account_key`, in base64: requests are signed with it (Shared Key).
    pub account_key: Option<String>,
    /// `azure_sas_token`: a shared access signature, with or without its `?`.
    pub sas_token: Option<String>,
    /// `azure_container`: required.
    pub container: String,
    /// `azure_endpoint`: where the account is, where that is not
    /// `https://<account>.blob.core.windows.net`.
    pub endpoint: Option<String>,
    /// `azure_use_managed_identity`: Entra ID, by workload identity where its environment variables
    /// are there, else by managed identity.
    pub use_managed_identity: bool,
    /// `azure_prefix`: all objects are below it. A leading `/` is stripped, a final one added.
    pub prefix: Option<String>,
    /// The proxies that requests go through; by default those of this process's environment.
    pub proxies: Proxies,
    /// How requests are tried again.
    pub retry: RetryPolicy,
    /// How many requests are under way at once, at the most.
    pub requests: usize,
    /// The size in bytes of a block of an object that is written in blocks; more for objects that
    /// would not fit into 50,000 of them. At most 1 GiB.
    pub part_bytes: u64,
    /// How many blocks of one object are uploaded at once.
    pub part_parallel: u64,
    /// How many bytes of bodies to write are held at once, over all objects.
    pub write_budget_bytes: u64,
    /// How many bytes a ranged read asks for: at most 4 MiB, above which Azure gives no MD5 of a
    /// range.
    pub range_bytes: u64,
    /// How many ranges of one object are read at once.
    pub range_parallel: usize,
    /// How many bytes of bodies that were read are held at once, over all objects.
    pub read_budget_bytes: u64,
    /// How long a lock outlives its holder: Azure takes 15 to 60 s.
    pub lock_lease: Duration,
    /// How often the holder of a lock renews it: well below the lease.
    pub lock_renewal: Duration,
}

impl Default for AzureConfig {
    fn default() -> Self {
        Self {
            connection_string: None,
            account_name: None,
            account_key: None,
            sas_token: None,
            container: String::new(),
            endpoint: None,
            use_managed_identity: false,
            prefix: None,
            proxies: Proxies::from_env(),
            retry: RetryPolicy::default(),
            requests: 64,
            part_bytes: 8 << 20,
            part_parallel: 5,
            write_budget_bytes: 64 << 20,
            range_bytes: 4 << 20,
            range_parallel: 8,
            read_budget_bytes: 64 << 20,
            lock_lease: Duration::from_secs(60),
            lock_renewal: Duration::from_secs(20),
        }
    }
}

impl fmt::Debug for AzureConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |value: &Option<String>| value.as_ref().map(|_| "REDACTED");
        f.debug_struct("AzureConfig")
            .field("connection_string", &secret(&self.connection_string))
            .field("account_name", &self.account_name)
            .field("account_key", &secret(&self.account_key))
            .field("sas_token", &secret(&self.sas_token))
            .field("container", &self.container)
            // Somebody may have put a SAS or a password into it.
            .field("endpoint", &self.endpoint.as_deref().map(without_query))
            .field("use_managed_identity", &self.use_managed_identity)
            .field("prefix", &self.prefix)
            .field("retry", &self.retry)
            .field("part_bytes", &self.part_bytes)
            .field("range_bytes", &self.range_bytes)
            .finish_non_exhaustive()
    }
}

fn without_query(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => url.to_owned(),
    }
}

/// The error for a setting that can't be right.
pub(crate) fn wrong(setting: &'static str, detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "use", setting, detail).with_setting(setting)
}

/// A setting's value, if it has one.
pub(crate) fn given(value: Option<&String>) -> Option<&str> {
    value
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
}

/// Checks a container's name by Azure's rules.
pub(crate) fn check_container(name: &str) -> Result<()> {
    let fault = |detail: &str| Err(wrong("azure_container", detail));
    if name.is_empty() {
        return fault("it is missing");
    }
    if matches!(name, "$root" | "$web") {
        return Ok(());
    }
    if !(3..=63).contains(&name.len()) {
        return fault(&format!("{name:?} is not 3 to 63 characters long"));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.bytes().all(allowed) {
        return fault(&format!(
            "{name:?} has other characters than lower-case letters, digits and `-`"
        ));
    }
    if name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return fault(&format!(
            "{name:?} has a `-` that is not between two letters or digits"
        ));
    }
    Ok(())
}

/// The prefix that names begin with: empty, or with a final `/`.
pub(crate) fn normalise_prefix(prefix: Option<&String>) -> Result<String> {
    let Some(text) = given(prefix) else {
        return Ok(String::new());
    };
    let text = text.trim_start_matches('/');
    let fault = |detail: &str| Err(wrong("azure_prefix", format!("{text:?} {detail}")));
    if text.contains("..") {
        return fault("has a `..`");
    }
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte))
    {
        return fault("has other characters than A-Z, a-z, 0-9, `/`, `_`, `.` and `-`");
    }
    if text.contains("//") || text.split('/').any(|segment| segment == ".") {
        return fault("has an empty segment or a `.`");
    }
    if text.is_empty() || text.ends_with('/') {
        return Ok(text.to_owned());
    }
    Ok(format!("{text}/"))
}

/// Checks what is neither a secret nor a place.
pub(crate) fn check_limits(config: &AzureConfig) -> Result<()> {
    let within = |name: &'static str, ok: bool, detail: &str| {
        if ok { Ok(()) } else { Err(wrong(name, detail)) }
    };
    within(
        "part_bytes",
        (1..=1 << 30).contains(&config.part_bytes),
        "it is not between 1 byte and 1 GiB",
    )?;
    within(
        "range_bytes",
        (1..=4 << 20).contains(&config.range_bytes),
        "it is not between 1 byte and 4 MiB, above which Azure gives no MD5 of a range",
    )?;
    within(
        "lock_lease",
        (15..=60).contains(&config.lock_lease.as_secs()),
        "it is not between 15 s and 60 s",
    )?;
    within(
        "lock_renewal",
        !config.lock_renewal.is_zero() && config.lock_renewal < config.lock_lease,
        "it is not shorter than the lease of the lock",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A prefix that means something else than it says would put backups where nobody looks.
    #[test]
    fn prefixes_are_normalised_or_refused() {
        for (given, wanted) in [
            ("", ""),
            ("  ", ""),
            ("/", ""),
            ("a", "a/"),
            (" /a/b/ ", "a/b/"),
            ("site-7_x.y", "site-7_x.y/"),
        ] {
            assert_eq!(
                normalise_prefix(Some(&given.to_owned())).unwrap(),
                wanted,
                "{given:?}"
            );
        }
        for bad in [
            "..", "a/../b", "a..b", "a b", "größe", "a%20b", "a//b", "./a", "a\\b",
        ] {
            let error = normalise_prefix(Some(&bad.to_owned())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert_eq!(error.subject(), "azure_prefix", "{bad}");
        }
    }

    /// A name that Azure refuses is refused before the first request.
    #[test]
    fn container_names_follow_the_rules() {
        for good in ["abc", "a-b-c", "0123", "$web"] {
            check_container(good).unwrap();
        }
        let long = "a".repeat(64);
        for bad in [
            "", "ab", "Abc", "a_b", "-ab", "ab-", "a--b", "a/b", "a.b", &long,
        ] {
            assert_eq!(
                check_container(bad).unwrap_err().subject(),
                "azure_container",
                "{bad}"
            );
        }
    }
}
