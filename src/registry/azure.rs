//! Azure Blob Storage.

use super::backend_kind::BackendKind;
#[cfg(feature = "azure")]
use super::backend_kind::Constructors;
#[cfg(feature = "azure")]
use crate::config::COLD;
use crate::config::{BackendDescription, PlaceForm, StorageRoot};

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
        place: &[
            ("azure_container", PlaceForm::Text),
            ("azure_prefix", PlaceForm::Prefix),
            ("azure_account_name", PlaceForm::Text),
            ("azure_endpoint", PlaceForm::Text),
        ],
        root: |values| {
            let container = values.text("storage.azure_container")?;
            let uri = format!("azure://{}", container.unwrap_or_default());
            Ok(StorageRoot::Uri(uri))
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

#[cfg(feature = "azure")]
mod sinks {
    use std::sync::Arc;

    use arc_backup_azure::{AzureConfig, AzureSink};
    use arc_backup_core::Sink;

    use crate::config::{Settings, Values};
    use crate::registry::backend_kind::in_table;
    use crate::{Error, Result};

    pub(super) fn storage(settings: &Settings) -> Result<Arc<dyn Sink>> {
        let prefix = settings.values.text("storage.azure_prefix")?;
        if prefix.is_some_and(|prefix| !prefix.trim().is_empty()) {
            // A backup of that part would count as one of all data.
            return Err(Error::Config(
                "`storage.azure_prefix` is not a key of Arc's, which reads the whole container: remove it"
                    .to_owned(),
            ));
        }
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
