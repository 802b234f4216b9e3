//! Which files of a backup a target really holds.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::{Key, ListOptions, Listed, Meta};
use futures::{Stream, StreamExt, TryStreamExt, future, stream};

use crate::manifest::{BackupId, Inventory, Record};
use crate::operations::context::Context;
use crate::repository::{Repository, folder};
use crate::sorted::{Joined, Sorted, merge_join};
use crate::{Error, Result};

/// What a listing says of the files of a backup.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    /// Files that are missing or have another size, with what is wrong.
    pub(crate) absent: BTreeMap<String, String>,
    /// Files that are there, and were written since their entity tags were noted.
    pub(crate) rewritten: BTreeSet<String>,
    /// Files in the backup's own folder that its inventory does not name.
    pub(crate) leftovers: Vec<Key>,
}

/// Compares the files of an inventory with the listings of the folders that hold them: a listing
/// for each, and no request for a file.
pub(crate) async fn holdings(
    context: &Context,
    repository: &Repository,
    id: &BackupId,
    inventory: &Inventory,
) -> Result<Holdings> {
    let mut holders = BTreeSet::from([id.clone()]);
    if inventory.refers_to_other_backups() {
        for record in inventory.records()? {
            holders.insert(record?.holder(id).clone());
        }
    }
    let mut found = Holdings::default();
    for holder in holders {
        let (own, of_holder) = (id.clone(), holder.clone());
        let expected = (inventory.records()?).filter(move |record| match record {
            Ok(record) => *record.holder(&own) == of_holder,
            Err(_) => true,
        });
        let listed = listed(repository, &holder);
        let mut joined = merge_join(stream::iter(expected), listed);
        while let Some(joined) = joined.try_next().await? {
            context.check_cancelled()?;
            match joined {
                Joined::Left(record) => found.add(&record, "it is missing".to_owned()),
                Joined::Both(record, there) if there.meta.size != record.entry.size => {
                    let (has, size) = (there.meta.size, record.entry.size);
                    found.add(&record, format!("it has {has} bytes, not {size}"));
                }
                Joined::Both(record, there)
                    if record.stored.is_some() && record.stored != there.meta.etag =>
                {
                    found.rewritten.insert(record.path.to_string());
                }
                Joined::Right(there) if holder == *id => found.leftovers.push(there.meta.key),
                Joined::Both(..) | Joined::Right(_) => {}
            }
        }
    }
    Ok(found)
}

impl Holdings {
    fn add(&mut self, record: &Record, fault: String) {
        self.absent.insert(record.path.to_string(), fault);
    }
}

/// An object in a section of a backup.
pub(crate) struct There {
    /// Its path in the backup.
    pub(crate) path: String,
    pub(crate) meta: Meta,
}

impl Sorted for There {
    fn sort_key(&self) -> &str {
        &self.path
    }
}

/// The objects in the sections of a backup. Manifest and lists are in no section.
pub(crate) fn listed(
    repository: &Repository,
    id: &BackupId,
) -> impl Stream<Item = Result<There>> + Send + use<> {
    let prefix = format!("{id}/");
    let listing = repository.sink().list(ListOptions::within(&folder(id)));
    listing.filter_map(move |item| {
        future::ready(match item {
            Ok(Listed::Object(meta)) => (meta.key.strip_prefix(prefix.as_str()))
                .filter(|path| path.contains('/'))
                .map(str::to_owned)
                .map(|path| Ok(There { path, meta })),
            Ok(Listed::Other { .. }) => None,
            Err(error) => Some(Err(Error::from(error))),
        })
    })
}
