//! Lists of entries, as streams.

use arc_backup_core::{EntryStream, Error as CoreError, ErrorKind, Scope, Section};
use futures::{StreamExt, stream};

use crate::manifest::{Inventory, Record};
use crate::sorted::{Joined, merge_join};
use crate::{Error, Result};

/// The entries of a list of one section.
pub(crate) fn entries_of(list: &Inventory) -> Result<EntryStream<'static>> {
    Ok(entries(list.records()?))
}

/// The entries in scope of one section of a backup's inventory.
pub(crate) fn section_entries(
    inventory: &Inventory,
    section: &Section,
    scope: &Scope,
) -> Result<EntryStream<'static>> {
    Ok(entries(section_records(inventory, section, scope)?))
}

/// The records in scope of one section of a backup's inventory.
pub(crate) fn section_records(
    inventory: &Inventory,
    section: &Section,
    scope: &Scope,
) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
    let (records, scope) = (inventory.records_of(section)?, scope.clone());
    Ok(records.filter(move |record| is_in(&scope, record)))
}

/// The records of a backup's inventory whose paths are in scope: those that a listing of the scope
/// finds, which knows nothing of their rows.
pub(crate) fn records_by_path(
    inventory: &Inventory,
    scope: &Scope,
) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
    let (records, scope) = (inventory.records()?, scope.clone());
    Ok(records.filter(move |record| match record {
        Ok(record) => scope.contains(&record.section(), &record.entry.key),
        Err(_) => true,
    }))
}

/// The records in scope of a backup's inventory.
pub(crate) fn records_in(
    inventory: &Inventory,
    scope: &Scope,
) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
    let (records, scope) = (inventory.records()?, scope.clone());
    Ok(records.filter(move |record| is_in(&scope, record)))
}

/// An error is passed on.
fn is_in(scope: &Scope, record: &Result<Record>) -> bool {
    match record {
        Ok(record) => scope.contains_entry(&record.section(), &record.entry),
        Err(_) => true,
    }
}

fn entries(records: impl Iterator<Item = Result<Record>> + Send + 'static) -> EntryStream<'static> {
    let entries = records.map(|record| record.map(|record| record.entry).map_err(to_core));
    stream::iter(entries).boxed()
}

pub(crate) fn to_core(error: Error) -> CoreError {
    match error {
        Error::Storage(error) => error,
        other => CoreError::new(ErrorKind::Other, "read", "list", other.to_string()),
    }
}

/// The entries of `all` that `some` does not have; both in byte order.
pub(crate) fn difference<'a>(all: EntryStream<'a>, some: EntryStream<'a>) -> EntryStream<'a> {
    merge_join(all, some)
        .filter_map(async |joined| match joined {
            Ok(Joined::Left(entry)) => Some(Ok(entry)),
            Ok(Joined::Right(_) | Joined::Both(..)) => None,
            Err(error) => Some(Err(error)),
        })
        .boxed()
}
