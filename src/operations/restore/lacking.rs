//! What a backup lacks, or has beside what it is of: checked before a restore plans anything.

use arc_backup_core::Section;

use crate::manifest::{Inventory, Skipped};
use crate::names::shortened;
use crate::operations::context::Context;
use crate::operations::entries::section_records;
use crate::operations::problems::Problems;
use crate::operations::restore::options::{ExtraFilesPolicy, RestoreOptions};
use crate::operations::restore::untouched::check_named;
use crate::operations::verify::completeness::out_of_scope;
use crate::repository::Loaded;
use crate::{Error, Result};

/// Refuses to omit damaged files where the backup does not list its data files: live versions of
/// missing ones would be set aside.
pub(super) fn check_unlisted(
    problems: &Problems,
    options: &RestoreOptions,
    loaded: &Loaded,
) -> Result<()> {
    let is_short = !problems.is_empty();
    let sets_aside =
        options.includes(&Section::Data) && options.extra_files != ExtraFilesPolicy::Keep;
    if !options.skip_damaged || loaded.has_checksums || !is_short || !sets_aside {
        return Ok(());
    }
    problems.failure(
        "Arc's own backup has no list of its files, so live files that are missing in it would be set aside: add \
         --extra-files keep (extra_files)",
    )
}

/// Warns of data files that are not of the databases that the backup is said to be of; refuses to
/// restore where no file is.
pub(super) fn check_outside(
    context: &Context,
    options: &RestoreOptions,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<()> {
    let mut outside = out_of_scope(loaded, inventory)?;
    let Some(first) = outside.next().transpose()? else {
        return Ok(());
    };
    if !options.includes(&Section::Data) {
        return Ok(());
    }
    let text = format!(
        "the backup is of {}, and has {} files of other databases, such as `{}`",
        shortened(&loaded.manifest.scope),
        outside.count() + 1,
        first.path
    );
    let mut inside = section_records(inventory, &Section::Data, options.backup_scope())?;
    if inside.next().transpose()?.is_none() {
        return Err(Error::Failed(format!("{text}, and none of its own")));
    }
    context.warn(format!("{text}: they are not restored"));
    Ok(())
}

/// Warns of files that an incomplete copy lacks; refuses to remove live files because of them.
pub(super) fn check_missing(
    context: &Context,
    options: &RestoreOptions,
    loaded: &Loaded,
) -> Result<()> {
    let manifest = &loaded.manifest;
    if Skipped::of(manifest).files > 0
        && options.includes(&Section::Data)
        && options.extra_files == ExtraFilesPolicy::Remove
    {
        return Err(Error::Invalid(
            "Arc skipped files when it made this backup, and they may be live: extra_files = remove would remove those"
                .to_owned(),
        ));
    }
    check_named(manifest, options)?;
    if manifest.missing_files == 0 {
        return Ok(());
    }
    if options.extra_files == ExtraFilesPolicy::Remove {
        // Files that it lacks may be live.
        return Err(Error::Invalid(
            "an incomplete copy lacks files that may be live: extra_files = remove would remove those"
                .to_owned(),
        ));
    }
    let sample: Vec<_> = (manifest.missing.iter().take(3))
        .map(|missing| missing.path.as_str())
        .collect();
    let more = match manifest.missing_files > sample.len() as u64 {
        true => ", …",
        false => "",
    };
    context.warn(format!(
        "this is an incomplete copy: it lacks {} that could not be read ({}{more})",
        manifest.lacks(),
        sample.join(", ")
    ));
    Ok(())
}
