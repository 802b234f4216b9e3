//! Arc's Iceberg warehouse: the tables' metadata. Their rows are Arc's own Parquet files.

use std::path::PathBuf;

use super::databases::real_path;
use super::storage::StorageSettings;
use super::values::Values;
use crate::Result;

/// Where the warehouse is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Warehouse {
    /// Iceberg is not enabled.
    Disabled,
    /// Under the storage root: its files are data.
    InStorage,
    /// A folder on local disk outside of the storage root.
    Folder {
        /// The folder.
        path: PathBuf,
        /// The value of `iceberg.warehouse`.
        configured: String,
    },
    /// A place that no backup holds.
    Elsewhere {
        /// Why not.
        reason: String,
    },
}

impl Warehouse {
    /// The warehouse that the configuration names.
    ///
    /// # Errors
    /// When a value has another type.
    pub(crate) fn read(values: &Values, storage: &StorageSettings) -> Result<Self> {
        if !values.bool("iceberg.enabled", false)? {
            return Ok(Self::Disabled);
        }
        let configured = values.text("iceberg.warehouse")?;
        let Some(configured) = configured.filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::InStorage);
        };
        if storage.contains(&configured) {
            return Ok(Self::InStorage);
        }
        let elsewhere = |why: &str| Self::Elsewhere {
            reason: format!("`{configured}` {why}"),
        };
        let path = configured.strip_prefix("file://").unwrap_or(&configured);
        if path.contains("://") {
            return Ok(elsewhere(
                "lies outside of the storage root, in another store",
            ));
        }
        if cfg!(not(feature = "local")) {
            return Ok(elsewhere("is a folder, and this build has no local disk"));
        }
        let path = PathBuf::from(path);
        let is_above = |root| real_path(root).starts_with(real_path(&path));
        if storage.folder().is_some_and(is_above) {
            return Ok(elsewhere(
                "holds the storage root: give it a folder of its own",
            ));
        }
        Ok(Self::Folder { path, configured })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::backends::StorageRoot;

    /// Guards against: data that is backed up twice, and a warehouse that is backed up from a place
    /// which is not the warehouse's alone.
    #[test]
    fn only_a_folder_of_its_own_is_backed_up() {
        let storage = StorageSettings {
            kind: "local".to_owned(),
            root: StorageRoot::Folder("/srv/arc".into()),
        };
        let read = |table: &str| {
            let text = format!("[iceberg]\n{table}\n");
            let values = Values::parse(&text, "arc.toml", []).expect("valid TOML");
            Warehouse::read(&values, &storage).expect("valid")
        };
        let of = |place: &str| read(&format!("enabled = true\nwarehouse = \"{place}\""));
        assert_eq!(read("warehouse = \"/srv/lake\""), Warehouse::Disabled);
        assert_eq!(read("enabled = true"), Warehouse::InStorage);
        for inside in ["", "/srv/arc", "/srv/arc/lake", "file:///srv/arc/lake"] {
            assert_eq!(of(inside), Warehouse::InStorage, "{inside}");
        }
        for folder in ["/srv/lake", "file:///srv/lake", "/srv/arc-lake", "./lake"] {
            let path = PathBuf::from(folder.trim_start_matches("file://"));
            let configured = folder.to_owned();
            assert_eq!(of(folder), Warehouse::Folder { path, configured });
        }
        for (elsewhere, named) in [
            ("s3://lake/x", "another store"),
            ("/srv", "holds the storage root"),
            ("/", "holds the storage root"),
        ] {
            let Warehouse::Elsewhere { reason } = of(elsewhere) else {
                panic!("{elsewhere}");
            };
            assert!(reason.contains(named), "{reason}");
        }
    }
}
