//! Arc's Iceberg warehouse: the tables' metadata. Their rows are Arc's own Parquet files.

use std::path::PathBuf;

use super::databases::real_path;
use super::file_uri::local_path;
use super::storage::StorageSettings;
use super::values::Values;
use crate::Result;

/// Where the warehouse is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Warehouse {
    /// Iceberg is not enabled.
    Disabled,
    /// Under the storage root: its files are data.
    InStorage {
        /// The beginning of their keys.
        prefix: String,
    },
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
            return Ok(Self::InStorage {
                prefix: String::new(),
            });
        };
        if let Some(prefix) = storage.prefix_of(&configured) {
            return Ok(Self::InStorage { prefix });
        }
        let elsewhere = |why: &str| Self::Elsewhere {
            reason: format!("`{configured}` {why}"),
        };
        let Some(path) = local_path(&configured) else {
            return Ok(elsewhere(
                "lies outside of the storage root, in another store",
            ));
        };
        if cfg!(not(feature = "local")) {
            return Ok(elsewhere("is a folder, and this build has no local disk"));
        }
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
        let inside = |prefix: &str| Warehouse::InStorage {
            prefix: prefix.to_owned(),
        };
        assert_eq!(read("enabled = true"), inside(""));
        for (place, prefix) in [
            ("", ""),
            ("/srv/arc", ""),
            ("/srv/arc/lake", "lake/"),
            ("file:///srv/arc/lake", "lake/"),
            ("file:/srv/arc/lake", "lake/"),
        ] {
            assert_eq!(of(place), inside(prefix), "{place}");
        }
        for (folder, path) in [
            ("/srv/lake", "/srv/lake"),
            ("file:///srv/lake", "/srv/lake"),
            ("file:/srv/lake", "/srv/lake"),
            ("FILE://localhost/srv/a%20b%", "/srv/a b%"),
            ("file://./lake", "./lake"),
            ("/srv/arc-lake", "/srv/arc-lake"),
            ("/srv/a%20b", "/srv/a%20b"),
            ("./lake", "./lake"),
            ("./a:b", "./a:b"),
        ] {
            let (path, configured) = (PathBuf::from(path), folder.to_owned());
            assert_eq!(of(folder), Warehouse::Folder { path, configured });
        }
        for (elsewhere, named) in [
            ("s3://lake/x", "another store"),
            ("hdfs:/lake", "another store"),
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
