//! What an S3 sink is configured with.

use std::fmt;
use std::time::Duration;

use arc_backup_core::remote::RetryPolicy;
use arc_backup_core::{Error, ErrorKind, Proxies, Result};

/// S3's default region, and Arc's.
const DEFAULT_REGION: &str = "us-east-1";

/// Which checksums go with what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum S3Checksums {
    /// A CRC-64/NVME with every part and object, and of the whole: `s3_checksums =
    /// "when_supported"`.
    #[default]
    WhenSupported,
    /// A `Content-MD5`, which every store knows, for stores that reject newer checksums:
    /// `s3_checksums = "when_required"`.
    WhenRequired,
}

impl S3Checksums {
    /// The checksums that `s3_checksums` names.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there are none of that name; the message lists those that there
    /// are.
    pub fn parse(text: &str) -> Result<Self> {
        match text.trim() {
            "" | "when_supported" => Ok(Self::WhenSupported),
            "when_required" => Ok(Self::WhenRequired),
            _ => Err(invalid(
                "s3_checksums",
                format!("it is `{text}`, and can be `when_supported` or `when_required`"),
            )),
        }
    }
}

/// Arc's settings of an S3 store as they stand in `arc.toml` or the environment. Empty texts count
/// as absent.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// `s3_bucket`.
    pub bucket: String,
    /// `s3_region`.
    pub region: String,
    /// `s3_endpoint`: a URL, or `host:port`.
    pub endpoint: String,
    /// `s3_access_key`.
    pub access_key: String,
    /// `s3_secret_key`.
    pub secret_key: String,
    /// `s3_use_ssl`: decides where the endpoint has no scheme.
    pub use_ssl: bool,
    /// `s3_path_style`.
    pub path_style: bool,
    /// `s3_prefix`.
    pub prefix: String,
    /// `s3_checksums`, which is a key of arc-backup's own.
    pub checksums: String,
}

/// The validated settings of an [`S3Sink`](crate::S3Sink).
#[derive(Clone)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// The region.
    pub region: String,
    /// The endpoint as a URL with a scheme; `None`: AWS.
    pub endpoint: Option<String>,
    /// The access key; without it, credentials come from AWS's default chain.
    pub access_key: Option<String>,
    /// The secret key.
    pub secret_key: Option<String>,
    /// Whether to speak TLS where the endpoint has no scheme.
    pub use_ssl: bool,
    /// Whether the bucket goes into the path instead of the host name.
    pub path_style: bool,
    /// What every object's name starts with: empty, or with a `/` at the end.
    pub prefix: String,
    /// Which checksums go with what is written.
    pub checksums: S3Checksums,
    /// The proxies that requests go through.
    pub proxies: Proxies,
    /// How requests are tried again.
    pub retry: RetryPolicy,
    /// How many requests are under way at once, at the most.
    pub requests: usize,
    /// How many bytes of bodies are held at once for writing, and as many again for reading.
    pub buffer_bytes: u64,
    /// The size in bytes of a part of an object that is not huge; with AWS at least 5 MiB.
    pub part_bytes: u64,
    /// The size in bytes of the ranges that a large object is read in. An object that is no larger
    /// is read whole, and its checksum is checked before its first byte is handed on.
    pub range_bytes: u64,
    /// How many parts or ranges of one object move at once.
    pub parallel: usize,
    /// The largest object in bytes that is copied in one request, and the size of the parts of
    /// larger ones.
    pub copy_part_bytes: u64,
    /// How often a lock that is held is renewed.
    pub lock_renewal: Duration,
    /// How long a lock must stay as it is, by the clock of who waits for it, until its holder
    /// counts as dead.
    pub lock_expiry: Duration,
}

impl S3Config {
    /// How long a lock must stay as it is until its holder counts as dead.
    pub const LOCK_EXPIRES: Duration = Duration::from_secs(60);
    /// How often a lock that is held is renewed.
    pub const LOCK_RENEWED: Duration = Duration::from_secs(20);
    /// The parts that an object may have: S3's limit.
    pub const MOST_PARTS: u64 = 10_000;

    /// The settings for `bucket` on AWS with credentials from the default chain and the proxies of
    /// this process's environment, all else as by default.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: DEFAULT_REGION.to_owned(),
            endpoint: None,
            access_key: None,
            secret_key: None,
            use_ssl: true,
            path_style: false,
            prefix: String::new(),
            checksums: S3Checksums::default(),
            proxies: Proxies::from_env(),
            retry: RetryPolicy::default(),
            requests: 32,
            buffer_bytes: 96 << 20,
            part_bytes: 8 << 20,
            range_bytes: 8 << 20,
            parallel: 5,
            // A copy gives no byte until it is done, and silence is taken for a dead network: so it
            // is never long.
            copy_part_bytes: 256 << 20,
            lock_renewal: Self::LOCK_RENEWED,
            lock_expiry: Self::LOCK_EXPIRES,
        }
    }

    /// Checks Arc's settings and makes a configuration of them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] about the setting (`s3_bucket`, `s3_prefix`, …) that is missing or
    /// makes no sense.
    pub fn from_settings(settings: S3Settings) -> Result<Self> {
        let present = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let bucket = present(&settings.bucket)
            .ok_or_else(|| invalid("s3_bucket", "it is not set".to_owned()))?;
        let access_key = present(&settings.access_key);
        let secret_key = present(&settings.secret_key);
        match (&access_key, &secret_key) {
            (Some(_), None) => return Err(lonely("s3_secret_key", "s3_access_key")),
            (None, Some(_)) => return Err(lonely("s3_access_key", "s3_secret_key")),
            _ => {}
        }
        let config = Self {
            region: present(&settings.region).unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            endpoint: present(&settings.endpoint)
                .map(|text| endpoint(&text, settings.use_ssl))
                .transpose()?,
            access_key,
            secret_key,
            use_ssl: settings.use_ssl,
            path_style: settings.path_style,
            prefix: prefix(&settings.prefix)?,
            checksums: S3Checksums::parse(&settings.checksums)?,
            ..Self::new(bucket)
        };
        config.check()?;
        Ok(config)
    }

    /// The URL that requests go to.
    pub(crate) fn url(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => format!("https://s3.{}.amazonaws.com", self.region),
        }
    }

    /// Checks what a sink can't work without.
    pub(crate) fn check(&self) -> Result<()> {
        self.proxies.of(&self.url())?;
        let wrong = |setting, reason: &str| Err(invalid(setting, reason.to_owned()));
        let odd = |c: char| !(c.is_ascii_alphanumeric() || ".-_:".contains(c));
        if self.bucket.is_empty() || self.bucket.contains(odd) {
            return wrong("s3_bucket", "it is not the name of a bucket");
        }
        if self
            .region
            .contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        {
            return wrong("s3_region", "it is not the name of a region");
        }
        if !self.prefix.is_empty() && !self.prefix.ends_with('/') {
            return wrong("s3_prefix", "it does not end in `/`");
        }
        if self.access_key.is_some() != self.secret_key.is_some() {
            return wrong(
                "s3_secret_key",
                "`s3_access_key` and it are set together or not at all",
            );
        }
        if self.part_bytes == 0
            || self.range_bytes == 0
            || self.parallel == 0
            || self.copy_part_bytes == 0
        {
            return wrong("s3 part sizes", "one of them is zero");
        }
        Ok(())
    }
}

fn invalid(setting: &'static str, reason: String) -> Error {
    Error::new(ErrorKind::Invalid, "use", setting, reason).with_setting(setting)
}

fn lonely(missing: &'static str, present: &str) -> Error {
    invalid(missing, format!("it is not set, but `{present}` is"))
}

/// An endpoint as a URL.
fn endpoint(text: &str, use_ssl: bool) -> Result<String> {
    let has_scheme = ["http://", "https://"].iter().any(|scheme| {
        (text.get(..scheme.len())).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let refuse = |reason: &str| Err(invalid("s3_endpoint", reason.to_owned()));
    if !has_scheme && text.contains("://") {
        return refuse("its scheme is neither `http` nor `https`");
    }
    let url = match (has_scheme, use_ssl) {
        (true, _) => text.to_owned(),
        (false, true) => format!("https://{text}"),
        (false, false) => format!("http://{text}"),
    };
    let url = url.trim_end_matches('/').to_owned();
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    if host.contains('@') {
        // Not repeated: what stands there may be a password.
        return refuse("credentials don't belong into it: see `s3_access_key` and `s3_secret_key`");
    }
    if host.is_empty() || host.starts_with(':') || url.contains(char::is_whitespace) {
        return refuse("it names no host");
    }
    Ok(url)
}

/// A prefix as Arc reads it.
fn prefix(text: &str) -> Result<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(String::new());
    }
    let odd = trimmed
        .chars()
        .find(|&c| !(c.is_ascii_alphanumeric() || "/_.-".contains(c)));
    let reason = match odd {
        _ if trimmed.contains("..") => Some("contains `..`".to_owned()),
        Some(c) => Some(format!("contains {c:?}")),
        None => None,
    };
    if let Some(reason) = reason {
        return Err(invalid(
            "s3_prefix",
            format!(
                "`{trimmed}` {reason}: Arc would ignore the whole prefix and read the whole bucket; \
                 use letters, digits and `/_.-` only, without `..`"
            ),
        ));
    }
    let mut prefix = trimmed.strip_prefix('/').unwrap_or(trimmed).to_owned();
    if !prefix.ends_with('/') {
        prefix.push('/');
    }
    Ok(prefix)
}

/// What stands for a secret.
fn redacted(secret: Option<&str>) -> &'static str {
    match secret {
        Some(text) if !text.is_empty() => "<redacted>",
        _ => "<none>",
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("access_key", &redacted(Some(&self.access_key)))
            .field("secret_key", &redacted(Some(&self.secret_key)))
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("access_key", &redacted(self.access_key.as_deref()))
            .field("secret_key", &redacted(self.secret_key.as_deref()))
            .field("path_style", &self.path_style)
            .field("prefix", &self.prefix)
            .field("checksums", &self.checksums)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> S3Settings {
        S3Settings {
            bucket: "b".to_owned(),
            use_ssl: true,
            ..S3Settings::default()
        }
    }

    /// Lost if it fails: a backup of another place than the one that Arc reads.
    #[test]
    fn a_prefix_is_arcs_or_refused() {
        for (text, wanted) in [
            ("", ""),
            ("  ", ""),
            ("a", "a/"),
            (" /a/b ", "a/b/"),
            ("a/", "a/"),
            ("/", "/"),
            ("a_b.c-d/E9", "a_b.c-d/E9/"),
        ] {
            assert_eq!(prefix(text).ok().as_deref(), Some(wanted), "{text:?}");
        }
        for bad in ["a..b", "..", "../a", "a b", "ä", "a\\b", "a+b", "a%2Fb"] {
            let error = prefix(bad).expect_err(bad);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let text = error.to_string();
            assert!(
                text.contains("s3_prefix") && text.contains("whole bucket"),
                "{text}"
            );
        }
    }

    /// Lost if it fails: a store that is asked with TLS where it speaks none, or the other way
    /// round.
    #[test]
    fn an_endpoint_needs_no_scheme() {
        for (text, ssl, wanted) in [
            ("minio:9000", false, "http://minio:9000"),
            ("minio:9000", true, "https://minio:9000"),
            ("http://minio:9000/", true, "http://minio:9000"),
            ("HTTPS://s3.example.com", false, "HTTPS://s3.example.com"),
        ] {
            assert_eq!(endpoint(text, ssl).ok().as_deref(), Some(wanted), "{text}");
        }
        for bad in [
            "ftp://x",
            "http://",
            ":9000",
            "a b",
            "http://key:hunter2@host",
        ] {
            let error = endpoint(bad, true).expect_err(bad).to_string();
            assert!(
                error.contains("s3_endpoint") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    /// Lost if it fails: an operator who has to guess which setting is missing.
    #[test]
    fn a_fault_names_its_setting() {
        let fails = |settings: S3Settings| {
            S3Config::from_settings(settings)
                .expect_err("it is refused")
                .to_string()
        };
        let mut no_bucket = settings();
        no_bucket.bucket = " ".to_owned();
        assert!(fails(no_bucket).contains("s3_bucket"));
        let mut half = settings();
        half.access_key = "k".to_owned();
        assert!(fails(half).contains("s3_secret_key"));
        let mut checksums = settings();
        checksums.checksums = "never".to_owned();
        assert!(fails(checksums).contains("when_required"));
        let config = S3Config::from_settings(settings()).expect("it is enough");
        assert_eq!(
            (config.region.as_str(), config.endpoint),
            ("us-east-1", None)
        );
    }

    /// Lost if it fails: a secret in a log.
    #[test]
    fn debug_shows_no_secret() {
        let mut settings = settings();
        settings.access_key = "AKIAEXAMPLE".to_owned();
        settings.secret_key = "hunter2".to_owned();
        let text = format!(
            "{settings:?} {:?}",
            S3Config::from_settings(settings.clone())
        );
        assert!(
            !text.contains("hunter2") && !text.contains("AKIAEXAMPLE"),
            "{text}"
        );
    }
}
