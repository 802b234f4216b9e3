//! Lists of entries, as streams.

use arc_backup_core::{Entry, EntryStream, Error as CoreError, ErrorKind};
use futures::{StreamExt, stream};

use crate::manifest::Inventory;
use crate::{Error, Result};

/// The entries of a list of one section.
pub(crate) fn entries_of(list: &Inventory) -> Result<EntryStream<'static>> {
    let records = list.records()?;
    Ok(
        stream::iter(records.map(|record| record.map(|record| record.entry).map_err(to_core)))
            .boxed(),
    )
}

pub(crate) fn to_core(error: Error) -> CoreError {
    match error {
        Error::Storage(error) => error,
        other => CoreError::new(ErrorKind::Other, "read", "list", other.to_string()),
    }
}

/// Those of one section of a backup's inventory.
pub(crate) fn section_entries(
    inventory: &Inventory,
    section: &str,
) -> Result<EntryStream<'static>> {
    let section = section.to_owned();
    let records = inventory.records()?.filter_map(move |record| match record {
        Ok(record) if record.section() == section => Some(Ok(record.entry)),
        Ok(_) => None,
        Err(error) => Some(Err(to_core(error))),
    });
    Ok(stream::iter(records).boxed())
}

/// The entries of `all` that `some` does not have; both in byte order.
pub(crate) fn left_out<'a>(all: EntryStream<'a>, some: EntryStream<'a>) -> EntryStream<'a> {
    stream::unfold(
        (all, some.fuse(), None),
        |(mut all, mut some, mut other)| async move {
            loop {
                let entry = match all.next().await? {
                    Ok(entry) => entry,
                    error => return Some((error, (all, some, other))),
                };
                while other
                    .as_ref()
                    .is_none_or(|other: &Entry| other.key < entry.key)
                {
                    match some.next().await {
                        Some(Ok(next)) => other = Some(next),
                        Some(error) => return Some((error, (all, some, other))),
                        None => break,
                    }
                }
                if other.as_ref().is_none_or(|other| other.key != entry.key) {
                    return Some((Ok(entry), (all, some, other)));
                }
            }
        },
    )
    .boxed()
}
