//! Where requests go, for messages.

use std::net::IpAddr;

use crate::config::{S3Checksums, S3Config};

/// Where requests go.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) bucket: String,
    pub(crate) region: String,
    /// The endpoint, or AWS.
    pub(crate) endpoint: String,
    /// The name of the host that requests go to, without a port.
    pub(crate) host: String,
    /// Whether the bucket's name stands in front of the endpoint's in that, with another store than
    /// AWS.
    pub(crate) is_bucket_in_host: bool,
    /// Whether the keys are the configuration's own.
    pub(crate) has_keys: bool,
    /// The proxy on the way, without credentials.
    pub(crate) proxy: Option<String>,
    /// Whether requests name checksums that a store may not know.
    pub(crate) sends_checksums: bool,
}

impl Destination {
    pub(crate) fn new(config: &S3Config) -> Self {
        let url = config.url();
        let host = host_of(&url);
        // As the SDK does it: an address has no names in front of it, and of certificates for
        // `*.host` none has a dot more.
        let is_in_host = !config.path_style
            && host.parse::<IpAddr>().is_err()
            && !config.bucket.contains(['.', '_', ':'])
            && !config.bucket.contains(|c: char| c.is_ascii_uppercase());
        Self {
            host: match is_in_host {
                true => format!("{}.{host}", config.bucket),
                false => host.to_owned(),
            },
            is_bucket_in_host: is_in_host && config.endpoint.is_some(),
            bucket: config.bucket.clone(),
            region: config.region.clone(),
            endpoint: match &config.endpoint {
                Some(endpoint) => endpoint.clone(),
                None => format!("AWS S3 in `{}`", config.region),
            },
            has_keys: config.access_key.is_some(),
            proxy: config.proxies.of(&url).unwrap_or_default(),
            sends_checksums: config.checksums == S3Checksums::WhenSupported,
        }
    }

    /// What to look at besides, where the store may not take the bucket's name as a part of its
    /// host's.
    pub(crate) fn path_style_hint(&self) -> String {
        match self.is_bucket_in_host {
            true => format!(
                "; it was asked as `{}`: where the store does not know such hosts, set `s3_path_style = true`",
                self.host
            ),
            false => String::new(),
        }
    }
}

/// The host in a URL.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost otherwise: an operator's evening, who looks for the fault at a host that is there.
    #[test]
    fn the_host_is_the_one_that_is_looked_up() {
        for (endpoint, path_style, host, is_in_host) in [
            (Some("http://minio.lan:9000"), false, "b-1.minio.lan", true),
            (Some("http://minio.lan:9000"), true, "minio.lan", false),
            (Some("http://127.0.0.1:9000"), false, "127.0.0.1", false),
            (Some("http://[::1]:9000"), false, "::1", false),
            (None, false, "b-1.s3.us-east-1.amazonaws.com", false),
        ] {
            let mut config = S3Config::new("b-1");
            config.endpoint = endpoint.map(str::to_owned);
            config.path_style = path_style;
            let destination = Destination::new(&config);
            assert_eq!(
                (&*destination.host, destination.is_bucket_in_host),
                (host, is_in_host)
            );
        }
        let mut config = S3Config::new("with.dot");
        config.endpoint = Some("https://minio.lan".to_owned());
        assert_eq!(Destination::new(&config).host, "minio.lan");
    }
}
