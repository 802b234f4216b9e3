//! Azure Blob Storage.

use super::backend_kind::BackendKind;
#[cfg(feature = "azure")]
use super::backend_kind::Constructors;
use crate::Result;
#[cfg(feature = "azure")]
use crate::config::COLD;
use crate::config::{BackendDescription, PlaceForm, StorageRoot, StorePlace, Values, prefix_path};

/// Azure Blob Storage.
pub(super) const AZURE: BackendKind = BackendKind {
    description: BackendDescription {
        names: &["azure", "azblob"],
        feature: "azure",
        keys: &[
            "azure_connection_string",
            "azure_account_name",
            "azure_account_key",
            "azure_sas_token",
            "azure_container",
            "azure_endpoint",
            "azure_use_managed_identity",
            "azure_prefix",
        ],
        secrets: &[
            "azure_connection_string",
            "azure_account_key",
            "azure_sas_token",
        ],
        newer: &["azure_prefix"],
        place: &[
            ("azure_container", PlaceForm::Text),
            ("azure_prefix", PlaceForm::Prefix),
            ("azure_account_name", PlaceForm::Text),
            ("azure_endpoint", PlaceForm::Text),
        ],
        root: |values| {
            let container = values.text("storage.azure_container")?;
            let container = container.unwrap_or_default();
            let path = prefix_path(values.text("storage.azure_prefix")?);
            let uri = format!("azure://{container}/{path}");
            Ok(StorageRoot::Uri(uri.trim_end_matches('/').to_owned()))
        },
        store: |values, table| {
            let text = |key: &str| values.text(&format!("{table}.{key}"));
            let Some(container) = text("azure_container")? else {
                return Ok(None);
            };
            Ok(Some(StorePlace {
                store: format!("azure://{}", container.trim()),
                account: account(values, table)?,
                path: prefix_path(text("azure_prefix")?),
            }))
        },
    },
    #[cfg(feature = "azure")]
    constructors: Some(Constructors {
        target: |target, settings| sinks::sink(&settings.values, &target.key),
        storage: sinks::storage,
        cold: |settings| sinks::sink(&settings.values, COLD),
    }),
    #[cfg(not(feature = "azure"))]
    constructors: None,
};

/// The name of the account that a table names.
fn account(values: &Values, table: &str) -> Result<Option<String>> {
    let text = |key: &str| values.text(&format!("{table}.{key}"));
    let connection = text("azure_connection_string")?.unwrap_or_default();
    let field = |name: &str| {
        connection.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let named = match field("AccountName") {
        Some(name) => Some(name),
        None => text("azure_account_name")?,
    };
    let endpoint = match field("BlobEndpoint") {
        Some(endpoint) => Some(endpoint),
        None => text("azure_endpoint")?,
    };
    let of_host = endpoint.and_then(|url| {
        let host = url
            .split_once("://")?
            .1
            .split(['/', ':'])
            .next()?
            .to_owned();
        host.contains(".blob.")
            .then(|| host.split('.').next().unwrap_or_default().to_owned())
    });
    let account = named.or(of_host).filter(|name| !name.trim().is_empty());
    Ok(account.map(|name| name.trim().to_ascii_lowercase()))
}

#[cfg(feature = "azure")]
mod sinks {
    use std::sync::Arc;

    use arc_backup_azure::{AzureConfig, AzureSink};
    use arc_backup_core::Sink;

    use crate::Result;
    use crate::config::{Settings, Values};
    use crate::registry::backend_kind::in_table;

    pub(super) fn storage(settings: &Settings) -> Result<Arc<dyn Sink>> {
        sink(&settings.values, "storage")
    }

    /// The sink of a table in the configuration: `[storage]`, or that of a target.
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
                .bool(&format!("{table}.azure_use_managed_identity"), false)?,
            prefix: text("azure_prefix")?,
            ..AzureConfig::default()
        };
        let sink = AzureSink::new(config).map_err(|error| in_table(table, &error))?;
        Ok(Arc::new(sink))
    }
}
