//! The list of the files of a backup that Arc made: a listing of the target, with the checksums of
//! `manifest-files.json` where Arc has written one.

use std::path::Path;

use arc_backup_core::{Entry, ErrorKind, GetOptions, Key, ListOptions, Listed, Section};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};

use super::layout::{file_list_key, folder};
use super::{Loaded, Repository};
use crate::manifest::{
    BackupId, FILE_LIST, INVENTORY, Inventory, InventoryFault, Record, Spool, is_data_file,
    receive_file_list,
};
use crate::sorted::{Joined, merge_join};

impl Repository {
    /// Whether Arc has written a list of the backup's data files, with their checksums.
    pub(super) async fn has_file_list(&self, id: &BackupId) -> crate::Result<bool> {
        match self.sink().head(&file_list_key(id)).await {
            Ok(meta) => Ok(meta.is_some()),
            // Something that is not a file: reading it says so.
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(true),
            // Without the right to list, a store answers `denied` for absent objects too.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the list in the local file `path`. With a file list, data files that it names and the
    /// target lacks are in it, and data files that it does not name are not.
    pub(super) async fn arcs_inventory(
        &self,
        id: &BackupId,
        loaded: &Loaded,
        path: &Path,
    ) -> Result<Inventory, InventoryFault> {
        let named = match loaded.has_checksums {
            true => Some(self.file_list(id, path).await?),
            false => None,
        };
        let records: BoxStream<'_, Result<Record, InventoryFault>> = match &named {
            Some(named) => {
                let records = named.records()?;
                stream::iter(records.map(|record| record.map_err(InventoryFault::from))).boxed()
            }
            None => stream::empty().boxed(),
        };
        let mut spool = Spool::create(path)?;
        let mut joined = merge_join(records, self.found(id));
        while let Some(joined) = joined.try_next().await? {
            let record = match joined {
                Joined::Left(named) => named,
                Joined::Both(named, found) => Record {
                    entry: Entry {
                        modified: found.entry.modified,
                        mode: found.entry.mode,
                        ..named.entry
                    },
                    ..named
                },
                Joined::Right(found) => {
                    let is_unnamed = named.is_some()
                        && found.section() == Section::Data
                        && is_data_file(&found.entry.key);
                    if is_unnamed {
                        continue;
                    }
                    found
                }
            };
            spool.push(&record)?;
        }
        drop(joined);
        Ok(spool.finish()?.without_checksums())
    }

    /// The files that Arc's list names, in byte order.
    async fn file_list(&self, id: &BackupId, path: &Path) -> Result<Inventory, InventoryFault> {
        let list = crate::files::with_suffix(path, ".files");
        let body = match (self.sink())
            .get(&file_list_key(id), GetOptions::default())
            .await
        {
            Ok(object) => object.body,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) => {
                return Err(InventoryFault::Damaged {
                    list: FILE_LIST,
                    detail: format!("can't be read: {}", error.detail()),
                });
            }
            Err(error) => return Err(self.named(error.into()).into()),
        };
        receive_file_list(body, &list, &self.activity).await
    }

    /// The files of the backup's sections, as they are listed.
    fn found(
        &self,
        id: &BackupId,
    ) -> impl Stream<Item = Result<Record, InventoryFault>> + Send + use<'_> {
        let prefix = format!("{id}/");
        let listing = self.sink().list(ListOptions::within(&folder(id)));
        listing.filter_map(move |item| {
            let found = match item {
                Ok(Listed::Object(meta)) => match meta.key.strip_prefix(prefix.as_str()) {
                    Some(rest) => record(rest, &meta).transpose(),
                    None => None,
                },
                Ok(Listed::Other { path, kind }) => {
                    Some(Err(damaged(format!("`{path}` is {}", kind.as_str()))))
                }
                Err(error) => Some(Err(self.named(error.into()).into())),
            };
            std::future::ready(found)
        })
    }
}

/// The record of the object at `path` in a backup; `None` where that is in no section.
fn record(path: &str, meta: &arc_backup_core::Meta) -> Result<Option<Record>, InventoryFault> {
    let Some((section, key)) = path.split_once('/') else {
        return Ok(None);
    };
    let key = Key::parse(key).map_err(|e| damaged(e.to_string()))?;
    let section = Section::parse(section).map_err(|e| damaged(e.to_string()))?;
    let entry = Entry {
        modified: meta.modified,
        mode: meta.mode,
        ..Entry::new(key, meta.size)
    };
    Ok(Some(Record::new(&section, entry)?))
}

fn damaged(detail: String) -> InventoryFault {
    InventoryFault::Damaged {
        list: INVENTORY,
        detail: format!("can't be made: {detail}"),
    }
}
