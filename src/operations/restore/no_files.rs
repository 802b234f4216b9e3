//! Databases of which a backup has no data file, although it was asked for them.

use arc_backup_core::Section;

use crate::manifest::{BackupId, Inventory};
use crate::names::shortened;
use crate::operations::entries::section_records;
use crate::operations::restore::{ExtraFilesPolicy, RestoreOptions};
use crate::operations::sections::without_data_files;
use crate::{Error, Result};

/// Describes the data that is not in the backup, and not live either after the restore; `None`
/// where the backup has some of each database in scope.
///
/// # Errors
/// [`Error::Invalid`] where a database has no data file in the backup, and its live ones would be
/// removed: the folder may have been lost, or not written yet, when the backup was made.
pub(crate) fn check_has_files(
    id: &BackupId,
    options: &RestoreOptions,
    inventory: &Inventory,
) -> Result<Option<String>> {
    // Of what is selected, something is in the backup.
    if !options.includes(&Section::Data) || options.scope.is_selective() {
        return Ok(None);
    }
    let mut records = section_records(inventory, &Section::Data, &options.scope)?;
    let scope = options.named_databases();
    if scope.is_empty() {
        return Ok(match records.next().transpose()? {
            Some(_) => None,
            None => Some(format!(
                "backup `{id}` holds no data files: after this restore there are none"
            )),
        });
    }
    let keys = records.map(|record| record.map(|record| record.entry.key));
    let without = without_data_files(&scope, keys)?;
    if without.is_empty() {
        return Ok(None);
    }
    let databases = shortened(&without);
    match options.extra_files {
        ExtraFilesPolicy::Remove => Err(Error::Invalid(format!(
            "backup `{id}` holds no data files of {databases}, and extra_files = remove would remove all live ones: \
             set them aside, and delete them when they are not needed"
        ))),
        ExtraFilesPolicy::SetAside => Ok(Some(format!(
            "backup `{id}` holds no data files of {databases}: after this restore there are none"
        ))),
        ExtraFilesPolicy::Keep => Ok(Some(format!(
            "backup `{id}` holds no data files of {databases}"
        ))),
    }
}
