//! Copies within the target, for a backup that must not need another one.
//!
//! An incomplete copy is kept for emergencies, and nothing keeps other backups for its sake.

use std::collections::BTreeSet;

use arc_backup_core::{ErrorKind, InOrder, Section, copy_object};
use futures::{FutureExt, StreamExt, stream};

use crate::manifest::{Inventory, Record, Spool};
use crate::operations::ProblemKind;
use crate::operations::backup::base_faults;
use crate::operations::backup::collected::Collected;
use crate::operations::context::Context;
use crate::repository::{file_key, location_of};
use crate::{Error, Result};

/// Copies the files that other backups hold into the folder of this one.
pub(super) async fn make(context: &Context, collected: &mut Collected) -> Result<()> {
    let referring: Vec<Section> = (collected.inventories.iter())
        .filter(|(_, list)| list.refers_to_other_backups())
        .map(|(section, _)| section.clone())
        .collect();
    let is_any = !referring.is_empty();
    for section in referring {
        let own = copy(context, &section, collected).await?;
        collected.inventories.insert(section, own);
    }
    if is_any {
        collected.report_reused(context);
    }
    collected.stored_in.clear();
    Ok(())
}

async fn copy(
    context: &Context,
    section: &Section,
    collected: &mut Collected,
) -> Result<Inventory> {
    let path = context.scratch()?.join(format!("{section}.own"));
    let mut own = Spool::create(&path)?;
    let sink = context.repository.sink();
    let Some(list) = collected.inventories.get(section) else {
        return own.finish();
    };
    let copies = stream::iter(list.records()?).map(|record| {
        async move {
            let mut record: Record = record?;
            context.check_cancelled()?;
            let (holder, from) = location_of(&context.id, &record)?;
            if holder == context.id {
                return Ok((record, None));
            }
            let to = file_key(&context.id, &record.path)?;
            let made = copy_object(&**sink, &from, &**sink, &to).await;
            record.stored_in = None;
            match made {
                Ok(()) => Ok((record, None)),
                // One file less: the copy of the others is worth keeping all the more.
                Err(error) => match error.kind() {
                    ErrorKind::NotFound
                    | ErrorKind::Corrupt
                    | ErrorKind::Invalid
                    | ErrorKind::Archived
                    | ErrorKind::Changed
                    | ErrorKind::PermissionDenied => Ok((record, Some((holder, error)))),
                    _ => Err(Error::from(error)),
                },
            }
        }
        .boxed()
    });
    let mut copied = InOrder::new(copies, context.plan().concurrency);
    let mut damaged = BTreeSet::new();
    while let Some(copy) = copied.next().await {
        let (record, fault) = copy?;
        let Some((holder, error)) = fault else {
            own.push(&record)?;
            continue;
        };
        let detail = format!("backup `{holder}`, which holds it: {}", error.detail());
        let kind = match error.kind() {
            ErrorKind::NotFound => ProblemKind::Missing,
            _ => ProblemKind::Unreadable,
        };
        collected.problems.add(record.path.as_str(), kind, detail);
        (context.running.progress).forget(1, record.entry.size, true);
        collected.reused.0 = collected.reused.0.saturating_sub(1);
        collected.reused.1 = collected.reused.1.saturating_sub(record.entry.size);
        if error.kind() == ErrorKind::NotFound {
            damaged.insert(holder);
        }
    }
    base_faults::note(context, &damaged).await;
    own.finish()
}
