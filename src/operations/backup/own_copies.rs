//! Copies within the target, for a backup that must not need another one.
//!
//! An incomplete copy is kept for emergencies, and nothing keeps other backups for its sake.

use arc_backup_core::{InOrder, Section, copy_object};
use futures::{FutureExt, StreamExt, stream};

use crate::manifest::{Inventory, Record, Spool};
use crate::operations::backup::collected::Collected;
use crate::operations::context::Context;
use crate::repository::{file_key, location_of};
use crate::{Error, Result};

/// Copies the files that other backups hold into the folder of this one.
pub(super) async fn make(context: &Context, collected: &mut Collected) -> Result<()> {
    for (section, list) in &mut collected.inventories {
        if list.refers_to_other_backups() {
            *list = copy(context, section, list).await?;
        }
    }
    collected.stored_in.clear();
    Ok(())
}

async fn copy(context: &Context, section: &Section, list: &Inventory) -> Result<Inventory> {
    let path = context.scratch()?.join(format!("{section}.own"));
    let mut own = Spool::create(&path)?;
    let sink = context.repository.sink();
    let copies = stream::iter(list.records()?).map(|record| {
        async move {
            let mut record: Record = record?;
            context.check_cancelled()?;
            let (holder, from) = location_of(&context.id, &record)?;
            if holder != context.id {
                let to = file_key(&context.id, &record.path)?;
                copy_object(&**sink, &from, &**sink, &to).await?;
                record.stored_in = None;
            }
            Ok::<_, Error>(record)
        }
        .boxed()
    });
    let mut copied = InOrder::new(copies, context.plan().concurrency);
    while let Some(record) = copied.next().await {
        own.push(&record?)?;
    }
    own.finish()
}
