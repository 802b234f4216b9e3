//! Which backups of a target refer to files in the folders of others.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::{Child, ErrorKind, GetOptions};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::lines::{compressed_lines, lines};
use super::list::RetainedFile;
use crate::UnreadableState;
use crate::manifest::{self, BackupId, INVENTORY};
use crate::repository::Repository;
use crate::repository::layout::{file_key, manifest_key};
use crate::{Error, Result};

/// How many manifests are read at once.
const MANIFESTS_AT_ONCE: usize = 16;
/// The inventory, compressed and not.
const INVENTORIES: [&str; 2] = ["inventory.jsonl.zst", INVENTORY];

/// What the manifests in a target say of who needs whose files.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// The backups that hold files of each published one.
    published: BTreeMap<BackupId, BTreeSet<BackupId>>,
    /// The same of backups whose manifest is missing or broken.
    damaged: BTreeMap<BackupId, BTreeSet<BackupId>>,
    /// Backups of which it is not known.
    unknown: Vec<Unknown>,
    /// Folders that are not of a backup.
    unpublished: Vec<BackupId>,
}

/// A backup that can't be read now, or not by this release.
#[derive(Debug)]
struct Unknown {
    id: BackupId,
    why: Why,
    detail: String,
}

/// Why it is not known what a backup needs.
#[derive(Debug, Clone, Copy)]
enum Why {
    Unreadable(UnreadableState),
    /// A newer release made it.
    Newer,
    /// Reading it failed.
    Fault,
}

/// What is known of one folder.
enum Found {
    Published(BTreeSet<BackupId>),
    Damaged(BTreeSet<BackupId>),
    Unknown(Why, String),
    Unpublished,
}

impl References {
    /// The backups that need files of `holder`.
    pub(super) fn to(&self, holder: &BackupId) -> BTreeSet<BackupId> {
        (self.published.iter().chain(&self.damaged))
            .filter(|(id, holders)| *id != holder && holders.contains(holder))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Whether any backup refers to another.
    fn has_any(&self) -> bool {
        let mut all = self.published.values().chain(self.damaged.values());
        all.any(|holders| !holders.is_empty())
    }

    pub(super) fn is_published(&self, id: &BackupId) -> bool {
        self.published.contains_key(id)
    }

    pub(super) fn is_damaged(&self, id: &BackupId) -> bool {
        self.damaged.contains_key(id)
    }

    /// Folders that are not of a backup: unfinished, or of a deleted one.
    pub(super) fn unpublished(&self) -> &[BackupId] {
        &self.unpublished
    }

    /// Forgets a backup that is deleted, and returns the backups that held files of it; `None`
    /// where that is not known.
    pub(super) fn remove(&mut self, id: &BackupId) -> Option<BTreeSet<BackupId>> {
        self.unknown.retain(|unknown| unknown.id != *id);
        self.damaged.remove(id);
        self.published.remove(id)
    }
}

impl Repository {
    /// Reads the manifests of the target. The folders in `retained` are of deleted backups.
    pub(super) async fn references(&self, retained: &BTreeSet<BackupId>) -> Result<References> {
        let mut references = References::default();
        let children = self.sink.list_children(None).await?;
        let folders = children.into_iter().filter_map(|child| match child {
            Child::Folder(name) => BackupId::parse(&name).ok(),
            Child::Object(_) | Child::Other(..) => None,
        });
        let found = stream::iter(folders).map(async |id| {
            let found = match retained.contains(&id) {
                // The usual case, by one request. Somebody may have brought the manifest back.
                true if !self.is_published(&id).await? => Ok(Found::Unpublished),
                _ => self.reference(&id).await,
            };
            found.map(|found| (id, found))
        });
        let mut found = found.buffered(MANIFESTS_AT_ONCE);
        while let Some((id, found)) = found.try_next().await? {
            self.activity.note();
            match found {
                Found::Published(holders) => drop(references.published.insert(id, holders)),
                Found::Damaged(holders) => drop(references.damaged.insert(id, holders)),
                Found::Unpublished => references.unpublished.push(id),
                Found::Unknown(why, detail) => {
                    references.unknown.push(Unknown { id, why, detail });
                }
            }
        }
        drop(found);
        Ok(references)
    }

    async fn reference(&self, id: &BackupId) -> Result<Found> {
        Ok(match self.load_one(id).await {
            Ok(loaded) => {
                let holders = loaded.manifest.stored_in.keys();
                match holders.map(|holder| BackupId::parse(holder)).collect() {
                    Ok(holders) => Found::Published(holders),
                    Err(error) => Found::Unknown(Why::Newer, format!("manifest.json: {error}")),
                }
            }
            Err(Error::NotFound(_)) => Found::Unpublished,
            Err(Error::Unreadable { state, detail, .. }) => {
                Found::Unknown(Why::Unreadable(state), detail)
            }
            Err(Error::Damaged { detail, .. }) => self.reference_of_damaged(id, detail).await?,
            // A target that does not answer says nothing of its backups.
            Err(Error::Storage(error))
                if matches!(
                    error.kind(),
                    ErrorKind::Unavailable | ErrorKind::Throttled | ErrorKind::PermissionDenied
                ) =>
            {
                return Err(error.into());
            }
            Err(error) => Found::Unknown(Why::Fault, error.to_string()),
        })
    }

    /// A backup whose manifest is missing or broken may be mended. What can be read of it counts.
    async fn reference_of_damaged(&self, id: &BackupId, detail: String) -> Result<Found> {
        let key = manifest_key(id);
        let text = match self.read_small(&key, manifest::MANIFEST_LIMIT).await {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error.into()),
            Err(_) => None,
        };
        let raw = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let Some(raw) = raw else {
            let mut holders = BTreeSet::new();
            let mut records = self.readable_references(id).await;
            while let Some((holder, _)) = records.next().await {
                holders.insert(holder);
            }
            return Ok(Found::Damaged(holders));
        };
        let format = raw.get("format").and_then(Value::as_u64);
        if format.is_some_and(|format| format > u64::from(manifest::FORMAT)) {
            // It is no damage that this release can't read it.
            return Ok(Found::Unknown(Why::Newer, detail));
        }
        let holders = raw.get("stored_in").and_then(Value::as_object);
        let holders = holders.into_iter().flat_map(serde_json::Map::keys);
        Ok(Found::Damaged(
            holders.filter_map(|id| BackupId::parse(id).ok()).collect(),
        ))
    }

    /// The files of the backup `id` that lie in other folders, with these: as many as can be read
    /// of its inventory, whatever the manifest says.
    pub(super) async fn readable_references(
        &self,
        id: &BackupId,
    ) -> BoxStream<'static, (BackupId, RetainedFile)> {
        for name in INVENTORIES {
            let Ok(key) = file_key(id, name) else {
                continue;
            };
            let Ok(object) = self.sink.get(&key, GetOptions::default()).await else {
                continue;
            };
            let lines = match name == INVENTORY {
                true => lines(object.body, &key).boxed(),
                false => match compressed_lines(object.body, &key) {
                    Ok(lines) => lines.boxed(),
                    Err(_) => continue,
                },
            };
            let found = lines
                .take_while(|line| std::future::ready(line.is_ok()))
                .filter_map(|line| std::future::ready(line.ok().and_then(|line| reference(&line))));
            return found.boxed();
        }
        stream::empty().boxed()
    }

    /// Fails if a backup may need files of `holder` and it is not known which.
    pub(super) async fn check_known(
        &self,
        references: &References,
        holder: &BackupId,
    ) -> Result<()> {
        // Where files have second names, no backup refers to another's folder, unless all of them
        // were brought from another place.
        if self.sink.hard_links().is_some() && !references.has_any() {
            return Ok(());
        }
        for Unknown { id, why, detail } in &references.unknown {
            if id == holder || self.is_older(id, holder).await? {
                continue;
            }
            let (id, detail) = (id.to_string(), detail.clone());
            let context = format!(
                "it may need files of backup `{holder}`, which therefore was not deleted: make it readable, or delete it first"
            );
            let error = match *why {
                Why::Unreadable(state) => Error::Unreadable { id, state, detail },
                Why::Newer => Error::Damaged { id, detail },
                Why::Fault => Error::Failed(format!("backup `{id}` can't be read now: {detail}")),
            };
            return Err(error.context(context));
        }
        Ok(())
    }

    /// Whether the backup `id` is known to be older than `holder`, and so to need nothing of it:
    /// by the moments that both name, and by those at which their manifests were written.
    async fn is_older(&self, id: &BackupId, holder: &BackupId) -> Result<bool> {
        match (id.moment(), holder.moment()) {
            (Some(one), Some(other)) if one < other => {}
            _ => return Ok(false),
        }
        let mut written = Vec::new();
        for id in [id, holder] {
            let meta = match self.sink.head(&manifest_key(id)).await {
                Ok(meta) => meta,
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error.into()),
                Err(_) => None,
            };
            written.push(meta.and_then(|meta| meta.modified));
        }
        Ok(matches!(written[..], [Some(one), Some(other)] if one < other))
    }
}

/// What a line of an inventory says of a file in another folder.
fn reference(line: &[u8]) -> Option<(BackupId, RetainedFile)> {
    #[derive(Deserialize)]
    struct Line {
        path: String,
        size: u64,
        stored_in: Option<String>,
    }
    let line: Line = serde_json::from_slice(line).ok()?;
    let holder = BackupId::parse(&line.stored_in?).ok()?;
    let (path, size) = (line.path, line.size);
    Some((holder, RetainedFile { path, size }))
}
