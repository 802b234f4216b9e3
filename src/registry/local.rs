//! Local disk.

use std::path::Path;
use std::sync::Arc;

use arc_backup_core::Sink;

use super::backend_kind::BackendKind;
#[cfg(feature = "local")]
use super::backend_kind::Constructors;
use crate::config::{BackendDescription, PlaceForm, StorageRoot, StorePlace};

/// Arc's default.
const STORAGE: &str = "./data/arc";

/// Local disk.
pub(super) const LOCAL: BackendKind = BackendKind {
    description: BackendDescription {
        names: &["local"],
        feature: "local",
        keys: &["local_path"],
        secrets: &[],
        newer: &[],
        place: &[("local_path", PlaceForm::Path(STORAGE))],
        root: |values| {
            let folder = values.path("storage.local_path", STORAGE)?;
            Ok(StorageRoot::Folder(folder))
        },
        store: |values, table| {
            let path = values.text(&format!("{table}.local_path"))?;
            let default = (table == "storage").then(|| STORAGE.to_owned());
            let path = path.filter(|path| !path.trim().is_empty()).or(default);
            Ok(path.map(|path| StorePlace::of_folder(path.as_ref())))
        },
    },
    #[cfg(feature = "local")]
    constructors: Some(Constructors {
        target: sinks::target,
        storage: sinks::storage,
        cold: sinks::cold,
    }),
    #[cfg(not(feature = "local"))]
    constructors: None,
};

/// The files in a folder; `None` in a build without local disk.
#[cfg(feature = "local")]
pub(super) fn folder(path: &Path) -> Option<Arc<dyn Sink>> {
    Some(sinks::folder(path))
}

/// The files in a folder; `None` in a build without local disk.
#[cfg(not(feature = "local"))]
pub(super) fn folder(_: &Path) -> Option<Arc<dyn Sink>> {
    None
}

#[cfg(feature = "local")]
mod sinks {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use arc_backup_core::Sink;
    use arc_backup_local::{LocalConfig, LocalSink};

    use super::STORAGE;
    use crate::config::{COLD, Settings, TargetSettings};
    use crate::{Error, Result};

    pub(super) fn target(target: &TargetSettings, settings: &Settings) -> Result<Arc<dyn Sink>> {
        let root =
            if target.is_built_in() {
                settings.backup.local_path.clone()
            } else {
                let key = format!("{}.local_path", target.key);
                let path = settings.values.text(&key)?;
                PathBuf::from(path.ok_or_else(|| {
                    Error::Config(format!("`{key}` is missing: it names the folder"))
                })?)
            };
        Ok(Arc::new(LocalSink::new(LocalConfig::new(root))))
    }

    pub(super) fn cold(settings: &Settings) -> Result<Arc<dyn Sink>> {
        let key = format!("{COLD}.local_path");
        let path = settings.values.text(&key)?;
        let root =
            PathBuf::from(path.ok_or_else(|| {
                Error::Config(format!("`{key}` is missing: it names the folder"))
            })?);
        Ok(Arc::new(LocalSink::new(LocalConfig::new(root))))
    }

    pub(super) fn storage(settings: &Settings) -> Result<Arc<dyn Sink>> {
        Ok(folder(
            &settings.values.path("storage.local_path", STORAGE)?,
        ))
    }

    /// Arc's own folders: new ones in them get its modes.
    pub(super) fn folder(path: &Path) -> Arc<dyn Sink> {
        let mut config = LocalConfig::new(path.to_owned());
        config.folders_like_root = true;
        Arc::new(LocalSink::new(config))
    }
}
