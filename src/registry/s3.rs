//! S3, and stores that speak its protocol.

use super::backend_kind::BackendKind;
#[cfg(feature = "s3")]
use super::backend_kind::Constructors;
#[cfg(feature = "s3")]
use crate::config::COLD;
use crate::config::{BackendDescription, PlaceForm, StorageRoot, StorePlace, prefix_path};

/// The name of a target whose bucket is in the path by default.
const MINIO: &str = "minio";

/// S3, and stores that speak its protocol.
pub(super) const S3: BackendKind = BackendKind {
    description: BackendDescription {
        names: &["s3", MINIO],
        feature: "s3",
        keys: &[
            "s3_bucket",
            "s3_region",
            "s3_endpoint",
            "s3_access_key",
            "s3_secret_key",
            "s3_use_ssl",
            "s3_path_style",
            "s3_prefix",
            "s3_checksums",
        ],
        secrets: &["s3_access_key", "s3_secret_key"],
        newer: &[],
        place: &[
            ("s3_bucket", PlaceForm::Text),
            ("s3_prefix", PlaceForm::Prefix),
            ("s3_endpoint", PlaceForm::Text),
        ],
        root: |values| {
            let bucket = values.text("storage.s3_bucket")?.unwrap_or_default();
            let prefix = values.text("storage.s3_prefix")?.unwrap_or_default();
            let uri = format!("s3://{bucket}/{}", prefix.trim_matches('/'));
            Ok(StorageRoot::Uri(uri))
        },
        store: |values, table| {
            let text = |key: &str| values.text(&format!("{table}.{key}"));
            let Some(bucket) = text("s3_bucket")? else {
                return Ok(None);
            };
            let endpoint = text("s3_endpoint")?.unwrap_or_default();
            Ok(Some(StorePlace {
                store: format!("s3://{}/{}", store_of(&endpoint), bucket.trim()),
                account: None,
                path: prefix_path(text("s3_prefix")?),
            }))
        },
    },
    #[cfg(feature = "s3")]
    constructors: Some(Constructors {
        target: |target, settings| sinks::sink(&settings.values, &target.key, target.kind == MINIO),
        // For `minio` as for `s3`: with another default than Arc's it would be another place.
        storage: |settings| sinks::sink(&settings.values, "storage", false),
        cold: |settings| sinks::sink(&settings.values, COLD, false),
    }),
    #[cfg(not(feature = "s3"))]
    constructors: None,
};

/// The domains of AWS's endpoints; the last one is of those with IPv6 too.
const OF_AWS: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];

/// A store by its endpoint: AWS has one name for all buckets, whether its endpoint is spelled out
/// or not.
fn store_of(endpoint: &str) -> String {
    let endpoint = endpoint.trim().to_ascii_lowercase();
    let host = (endpoint.split_once("://")).map_or(&*endpoint, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    let host = host.trim_end_matches(":443").trim_end_matches(":80");
    match host {
        "" => "aws".to_owned(),
        host if OF_AWS.iter().any(|domain| host.ends_with(domain)) => "aws".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(feature = "s3")]
mod sinks {
    use std::sync::Arc;

    use arc_backup_core::Sink;
    use arc_backup_s3::{S3Config, S3Settings, S3Sink};

    use crate::Result;
    use crate::config::Values;
    use crate::registry::backend_kind::in_table;

    /// The sink of a table in the configuration: `[storage]`, or that of a target.
    pub(super) fn sink(values: &Values, table: &str, path_style: bool) -> Result<Arc<dyn Sink>> {
        let text = |key: &str| -> Result<String> {
            Ok(values.text(&format!("{table}.{key}"))?.unwrap_or_default())
        };
        let settings = S3Settings {
            bucket: text("s3_bucket")?,
            region: text("s3_region")?,
            endpoint: text("s3_endpoint")?,
            access_key: text("s3_access_key")?,
            secret_key: text("s3_secret_key")?,
            use_ssl: values.bool(&format!("{table}.s3_use_ssl"), true)?,
            path_style: values.bool(&format!("{table}.s3_path_style"), path_style)?,
            prefix: text("s3_prefix")?,
            checksums: text("s3_checksums")?,
        };
        let config = S3Config::from_settings(settings).map_err(|error| in_table(table, &error))?;
        let sink = S3Sink::new(config).map_err(|error| in_table(table, &error))?;
        Ok(Arc::new(sink))
    }
}
