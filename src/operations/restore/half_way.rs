//! What a restore says while it changes live data, and where it fails then.

use arc_backup_core::Section;

use crate::operations::context::Context;
use crate::operations::restore::marker::{RestoreMarker, state_marker};
use crate::operations::restore::restored_section::RestoredSection;

/// What is restored and what is not, what was set aside, and what completes the restore or takes it
/// back.
pub(crate) fn text(
    context: &Context,
    marker: &RestoreMarker<'_>,
    parts: &[RestoredSection],
) -> String {
    let counted = (parts.iter())
        .filter_map(|part| Some((part.restore.restored_so_far()?, part.planned.needed_files)))
        .fold((0, 0), |(done, all), (d, a)| (done + d.min(a), all + a));
    let (done, all) = counted;
    let mut text = format!(
        "the live data is partly restored: {done} data files are restored, {} are not",
        all - done
    );
    let aside = parts
        .iter()
        .filter_map(|part| part.restore.set_aside_so_far());
    for (files, location) in aside {
        text.push_str(&format!(", {files} are set aside in {location}"));
    }
    if let Some(new) = &context.new_instance {
        return format!(
            "{done} data files are in {}, {} are not: run the same restore again to complete it, or remove {}",
            new.place(),
            all - done,
            match new.folder() {
                Some(_) => "the folder",
                None => "the files there",
            }
        );
    }
    let remedy = state_marker(&context.settings).map(|marker| marker.remedy());
    let remedy = remedy.unwrap_or_else(|| marker.remedy());
    format!("{text}: {remedy}")
}

/// Reports how many files were set aside so far.
pub(crate) fn report_set_aside(context: &Context, parts: &[RestoredSection]) {
    for part in parts {
        let Some((files, location)) = part.restore.set_aside_so_far() else {
            continue;
        };
        context.running.update(|operation| {
            if part.section == Section::Data {
                operation.set_aside_files = Some(files);
                operation.set_aside_location = Some(location);
            } else if !operation.kept.contains(&location) {
                operation.kept.push(location);
            }
        });
    }
}
