//! Everything that a restore does before its first live change.

use arc_backup_core::Section;

use crate::manifest::Inventory;
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::legs::assemble::check_whole;
use crate::operations::problems::Problems;
use crate::operations::restore::arc_idle::RunningArc;
use crate::operations::restore::damaged;
use crate::operations::restore::lacking::{check_missing, check_outside, check_unlisted};
use crate::operations::restore::marker::{
    RestoreMarker, check_covers_interrupted, check_options_cover,
};
use crate::operations::restore::options::RestoreOptions;
use crate::operations::restore::planning::{check_sections, plan, sections_to_restore};
use crate::operations::restore::record;
use crate::operations::restore::rename::renamed;
use crate::operations::restore::replanning::Replanning;
use crate::operations::restore::restored_section::{RestoredSection, names_of};
use crate::operations::restore::staging::{discard_staged, stage};
use crate::operations::restore::unfinished_jobs;
use crate::operations::restore::untouched::{ToRestore, untouched};
use crate::operations::selected::check_matches;
use crate::operations::verify::{check_for::CheckFor, load::load};
use crate::repository::Loaded;
use crate::{Error, Result};

/// Everything before the first live change, and the restore marker that says that there may have
/// been one. Returns the running Arc, where it may change what is restored.
pub(super) async fn prepare<'a>(
    context: &'a Context,
    problems: &mut Problems,
    options: &RestoreOptions,
    marker: &RestoreMarker<'_>,
    parts: &mut Vec<RestoredSection>,
) -> Result<(Inventory, Option<RunningArc<'a>>)> {
    context.running.phase(Phase::Checking);
    if let Some(interrupted) = marker.interrupted() {
        check_options_cover(interrupted, options).map_err(Error::Failed)?;
    }
    discard_staged(context, marker).await?;
    let (scope, on_bad_list) = (options.backup_scope(), options.on_bad_list());
    let loaded = load(context, problems, scope, CheckFor::Reading, on_bad_list).await?;
    if !options.skip_damaged || loaded.is_none() {
        problems.failure("the backup is not whole")?;
    }
    let Some((loaded, inventory)) = loaded else {
        return Err(Error::Failed("the backup cannot be read".to_owned()));
    };
    check_whole(&context.repository, &context.id, &loaded)?;
    if options.within_backup(&loaded.manifest).backup_scope() != options.backup_scope() {
        return Err(Error::Failed(
            "the manifest has changed since the restore began: run it again".to_owned(),
        ));
    }
    check_matches(&context.id, &inventory, scope)?;
    check_outside(context, options, &loaded, &inventory)?;
    check_missing(context, options, &loaded)?;
    check_unlisted(problems, options, &loaded)?;
    if options.skip_damaged {
        damaged::find_all(context, problems, options, &inventory).await?;
        // The files are read again to be restored: progress counts that.
        context.running.progress.restart();
    }
    let of_backup = decide_jobs(context, problems, &loaded, inventory).await?;
    let inventory = with_new_names(context, options, &loaded, &of_backup)?;
    if let Some(new) = &context.new_instance {
        new.begin(&context.id)?;
    }
    let await_quiet = async || match options.includes(&Section::Data) {
        true => (RunningArc::await_quiet(context, &inventory, &options.scope).await).map(Some),
        false => Ok(None),
    };
    // Before live files are listed, and again before they are changed.
    let mut arc = await_quiet().await?;
    let sections = sections_to_restore(&inventory, options);
    let sections = check_sections(context, options, &inventory, sections)?;
    check_covers_interrupted(marker, &sections)?;
    let mut replanning = Replanning::new(context);
    loop {
        let (storage, manifest) = (&*context.storage, &loaded.manifest);
        let untouched = untouched(storage, &context.settings, manifest, &inventory, options);
        let to_restore = ToRestore {
            inventory: &inventory,
            of_backup: &of_backup,
            sections: &sections,
            untouched: &untouched.await?,
        };
        context.running.phase(Phase::Checking);
        plan(context, problems, options, &to_restore, marker, parts).await?;
        replanning.planned();
        if !marker.is_resuming() {
            marker.staging(&names_of(&sections))?;
        }
        stage(context, problems, options, &inventory, parts).await?;
        if !replanning.is_necessary(arc.as_ref()).await? {
            break;
        }
        arc = await_quiet().await?;
    }
    context.check_cancelled()?;
    // The next step changes live data: no other operation may be using this backup.
    context.check_lock().await?;
    let changes_data = parts.iter().any(RestoredSection::changes_data);
    record::write(context, options, marker, parts).await?;
    marker.applying(&names_of(&sections), changes_data).await?;
    Ok((inventory, arc))
}

/// The list of what is restored, with the keys that the files get.
fn with_new_names(
    context: &Context,
    options: &RestoreOptions,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<Inventory> {
    let path = context.scratch()?.join("renamed");
    let (scope, has_checksums) = (options.backup_scope(), loaded.has_checksums);
    let renamed = renamed(inventory, scope, &options.rename, has_checksums, &path)?;
    if renamed.omitted > 0 {
        context.warn(format!(
            "{} files were not restored, as they name their database inside: metadata of Iceberg tables, and states of \
             compaction jobs",
            renamed.omitted
        ));
    }
    Ok(renamed.inventory)
}

/// Omits files of Arc's own backup whose rows are in others, and reports that.
async fn decide_jobs(
    context: &Context,
    problems: &Problems,
    loaded: &Loaded,
    inventory: Inventory,
) -> Result<Inventory> {
    let (inventory, omitted) = unfinished_jobs::decide(
        &context.repository,
        &context.id,
        loaded,
        inventory,
        &problems.damaged(),
        context.scratch()?,
    )
    .await?;
    for warning in omitted.text().into_iter().chain(omitted.warnings) {
        context.warn(warning);
    }
    let inputs = Some(omitted.inputs).filter(|inputs| *inputs > 0);
    (context.running).update(|operation| operation.consumed_inputs_skipped = inputs);
    Ok(inventory)
}
