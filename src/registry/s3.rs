//! S3 from the keys of a table in the configuration: `[storage]`, or that of a target.

use std::sync::Arc;

use arc_backup_core::Sink;
use arc_backup_s3::{S3Config, S3Settings, S3Sink};

use super::in_table;
use crate::Result;
use crate::config::Values;

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
        use_ssl: values.truth(&format!("{table}.s3_use_ssl"), true)?,
        path_style: values.truth(&format!("{table}.s3_path_style"), path_style)?,
        prefix: text("s3_prefix")?,
        checksums: text("s3_checksums")?,
    };
    let config = S3Config::from_settings(settings).map_err(|error| in_table(table, &error))?;
    let sink = S3Sink::new(config).map_err(|error| in_table(table, &error))?;
    Ok(Arc::new(sink))
}
