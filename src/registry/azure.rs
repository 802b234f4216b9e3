//! Azure Blob Storage from the keys of a table in the configuration: `[storage]`, or that of a target.

use std::sync::Arc;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::Sink;

use super::in_table;
use crate::Result;
use crate::config::Values;

pub(super) fn sink(values: &Values, table: &str) -> Result<Arc<dyn Sink>> {
    let text = |key: &str| values.text(&format!("{table}.{key}"));
    let config = AzureConfig {
        connection_string: text("azure_connection_string")?,
        account_name: text("azure_account_name")?,
        account_key: text("azure_account_key")?,
        sas_token: text("azure_sas_token")?,
        container: text("azure_container")?.unwrap_or_default(),
        endpoint: text("azure_endpoint")?,
        use_managed_identity: values
            .truth(&format!("{table}.azure_use_managed_identity"), false)?,
        prefix: text("azure_prefix")?,
        ..AzureConfig::default()
    };
    let sink = AzureSink::new(config).map_err(|error| in_table(table, &error))?;
    Ok(Arc::new(sink))
}
