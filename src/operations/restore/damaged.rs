//! Restoring a backup without its damaged files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{EntryStream, Key, Scope, Section};
use futures::StreamExt;

use crate::manifest::Inventory;
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::entries::{records_in, section_entries};
use crate::operations::problems::Problems;
use crate::operations::restore::RestoreOptions;
use crate::operations::verify::completeness::archived_fault;
use crate::operations::verify::no_writer::NoWriter;
use crate::{Error, Result};

/// Timeout of the look for other backups.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// The entries of a section that are in scope and not known to be damaged.
pub(crate) fn whole_entries<'a>(
    problems: &Problems,
    inventory: &Inventory,
    section: &'a Section,
    scope: &Scope,
) -> Result<EntryStream<'a>> {
    let damaged = problems.damaged();
    let whole = section_entries(inventory, section, scope)?.filter(move |entry| {
        let is_whole = match entry {
            Ok(entry) => !damaged.contains(&format!("{section}/{}", entry.key)),
            Err(_) => true,
        };
        std::future::ready(is_whole)
    });
    Ok(whole.boxed())
}

/// The damaged ones of a section, by key.
pub(crate) fn damaged_keys(
    problems: &Problems,
    inventory: &Inventory,
    section: &Section,
) -> Result<Arc<BTreeSet<Key>>> {
    let damaged = problems.damaged();
    let mut keys = BTreeSet::new();
    for record in inventory.records_of(section)? {
        let record = record?;
        if damaged.contains(&record.path) {
            keys.insert(record.entry.key);
        }
    }
    Ok(Arc::new(keys))
}

/// How many files a restore without the damaged ones restores, and how many it omits.
pub(crate) fn counts(
    problems: &Problems,
    options: &RestoreOptions,
    inventory: &Inventory,
) -> Result<(u64, u64)> {
    let known = problems.damaged();
    let (mut whole, mut damaged) = (0, 0);
    for record in records_in(inventory, &options.scope)? {
        match known.contains(&record?.path) {
            true => damaged += 1,
            false => whole += 1,
        }
    }
    Ok((whole, damaged))
}

/// Reads all files that are to be restored, before anything is planned, so that every damaged file
/// is known and omitted everywhere.
///
/// # Errors
/// Where every file is damaged, or the target does not answer.
pub(crate) async fn find_all(
    context: &Context,
    problems: &mut Problems,
    options: &RestoreOptions,
    inventory: &Inventory,
) -> Result<()> {
    context.running.phase(Phase::Verifying);
    let damaged = problems.damaged();
    let mut sections = BTreeSet::new();
    for record in records_in(inventory, &options.scope)? {
        let record = record?;
        if !damaged.contains(&record.path) {
            context.running.progress.expect(1, record.entry.size);
            sections.insert(record.section());
        }
    }
    let reader = context.repository.reader(&context.id, inventory)?;
    for section in &sections {
        let reader = reader.section(section);
        // Problems found here are of entries that have passed.
        let entries = whole_entries(problems, inventory, section, &options.scope)?;
        let plan = context.plan();
        let mut copies = plan.run(entries, &reader, &NoWriter);
        while let Some(outcome) = copies.next().await {
            let outcome = outcome?;
            if let Some(fault) = &outcome.fault {
                let path = format!("{section}/{}", outcome.entry.key);
                if let Some(error) = archived_fault(&path, fault) {
                    return Err(error);
                }
                problems.add_fault(&path, fault)?;
            }
        }
        context.check_cancelled()?;
    }
    let (whole, damaged) = counts(problems, options, inventory)?;
    if whole == 0 && damaged > 0 {
        return Err(Error::Failed(format!(
            "all {damaged} files to be restored are damaged or missing in the backup"
        )));
    }
    Ok(())
}

/// The error of a restore that did all it could without the damaged files.
pub(crate) fn outcome(
    problems: &Problems,
    options: &RestoreOptions,
    inventory: &Inventory,
) -> Result<()> {
    if !options.skip_damaged {
        return Ok(());
    }
    let (whole, damaged) = counts(problems, options, inventory)?;
    if damaged == 0 {
        return problems
            .failure("the files in the backup were restored, but the backup is not complete");
    }
    problems.failure(&format!(
        "restored {whole} of {} files; {damaged} are damaged or missing in the backup and were omitted; their live versions are \
         unchanged",
        whole + damaged
    ))
}

/// What to do about a damaged backup, where it is the only one of its target.
pub(crate) async fn remedy(context: &Context) -> Option<String> {
    let listed = tokio::time::timeout(LOOK_TIMEOUT, context.repository.list()).await;
    let backups = listed.ok()?.ok()?.backups;
    let is_other = |id: &str| id != context.id.as_str();
    if backups.iter().any(|backup| is_other(&backup.backup_id)) {
        return None;
    }
    Some(format!(
        "it is the only backup in target `{}`: to restore its undamaged files, use --skip-damaged \
         (skip_damaged: true)",
        context.repository.name()
    ))
}
