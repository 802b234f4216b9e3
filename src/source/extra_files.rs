//! Live files that a backup does not hold: how they are counted and reported.
//!
//! Those of a warehouse stay: other programs keep their tables there too.

use std::sync::atomic::Ordering;

use arc_backup_core::{ExtraFiles, Meta, Result};

use super::parquet_restore::ParquetRestore;
use super::steps::{Action, Step};
use super::warehouse::ICEBERG;

impl ParquetRestore {
    fn is_warehouse(&self) -> bool {
        self.section == ICEBERG
    }

    /// Plans what becomes of a live file that the backup does not hold.
    pub(super) fn extra(&self, live: &Meta) -> Result<()> {
        if !self.staging.scope.takes_extra(&live.key) {
            return Ok(());
        }
        if self.staging.extra_files != ExtraFiles::Keep {
            self.check_unsplit(&live.key)?;
        }
        // Of a warehouse, it may be anybody's.
        self.summary().extra_files += u64::from(!self.is_warehouse());
        if self.staging.extra_files != ExtraFiles::Keep {
            self.aside_bytes.fetch_add(live.size, Ordering::Relaxed);
        }
        self.steps.append(&Step {
            key: live.key.to_string(),
            action: Action::Extra,
            size: live.size,
            sha256: None,
            modified: None,
            mode: None,
            etag: None,
            cold: false,
            row: None,
            live: Some(live.into()),
        })
    }

    /// Records what was set aside, and what was kept beside the restored files.
    pub(super) fn record_applied(&self, aside: u64) {
        let is_warehouse = self.is_warehouse();
        let mut summary = self.summary();
        summary.set_aside_files = aside;
        summary.set_aside_location = (aside > 0).then(|| self.aside.location()).flatten();
        if summary.kept_extra_files > 0 && !is_warehouse {
            let text = format!(
                "{} live files that the backup does not have were kept beside the restored ones: Arc may serve rows twice",
                summary.kept_extra_files
            );
            summary.warnings.push(text);
        }
    }

    /// Warns of metadata of restored tables that the backup does not have.
    pub(super) fn warn_of_tables(&self) {
        let extra = self.tables.extra();
        if self.is_warehouse() && extra > 0 {
            self.summary().warnings.push(format!(
                "{extra} files of Iceberg metadata in {} are of tables in the backup, and not in the backup: they stay, as all \
                 extra files of a warehouse do. The restored catalog does not name them",
                self.storage.location()
            ));
        }
    }

    /// Names the place of files that were set aside, where it is not that of the data.
    pub(super) fn name_beside_data(&self) {
        if !self.is_warehouse() {
            return;
        }
        let mut summary = self.summary();
        let files = std::mem::take(&mut summary.set_aside_files);
        if let Some(location) = summary.set_aside_location.take() {
            (summary.kept).push(format!("{location} ({files} files of the warehouse)"));
        }
    }
}
