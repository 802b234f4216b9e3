//! The source of Arc's Iceberg warehouse.

use std::path::PathBuf;
use std::sync::Arc;

use arc_backup_core::Source;

use super::local::folder;
use crate::config::{Settings, Warehouse, real_path};
use crate::source::{Exclusions, ParquetSource, WarehouseSource};
use crate::{Error, Result};

/// The source; `None` where no folder outside of the storage root is configured.
pub(super) fn warehouse(
    settings: &Settings,
    target_roots: &[PathBuf],
) -> Result<Option<Arc<dyn Source>>> {
    let Warehouse::Folder { path, .. } = Warehouse::read(&settings.values, &settings.storage)?
    else {
        return Ok(None);
    };
    let real = real_path(&path);
    let state = settings.backup.state_folder().to_owned();
    for other in target_roots.iter().chain([&state]) {
        if real.starts_with(real_path(other)) {
            return Err(Error::Config(format!(
                "`iceberg.warehouse` ({}) lies in a folder of backups ({}): give it a folder of its own",
                path.display(),
                other.display()
            )));
        }
    }
    let Some(files) = folder(&path) else {
        return Ok(None);
    };
    let exclusions = Exclusions {
        backups: false,
        compaction: None,
        keys: settings.keys_within(&real, target_roots),
    };
    let files = ParquetSource::new(files, "local", exclusions);
    Ok(Some(Arc::new(WarehouseSource::new(files, path))))
}
