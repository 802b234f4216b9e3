//! Which backups of a target refer to files in the folders of others.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::{Child, Error as CoreError, ErrorKind, GetOptions};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::lines::{compressed_lines, lines};
use super::list::RetainedFile;
use crate::UnreadableState;
use crate::manifest::{self, BackupId, INVENTORY};
use crate::repository::Repository;
use crate::repository::layout::{inventory_keys, manifest_key};
use crate::{Error, Result};

/// How many manifests are read at once.
const MANIFESTS_AT_ONCE: usize = 16;

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
    /// Whether it is known to need files of others.
    refers: bool,
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
    /// And whether it is known to need files of others.
    Unknown(Why, String, bool),
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
        all.any(|holders| !holders.is_empty()) || self.unknown.iter().any(|one| one.refers)
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
                Found::Unknown(why, detail, refers) => references.unknown.push(Unknown {
                    id,
                    why,
                    detail,
                    refers,
                }),
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
                    Err(error) => {
                        Found::Unknown(Why::Newer, format!("manifest.json: {error}"), true)
                    }
                }
            }
            Err(Error::NotFound(_)) => Found::Unpublished,
            Err(Error::Unreadable { state, detail, .. }) => {
                Found::Unknown(Why::Unreadable(state), detail, false)
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
            Err(error) => Found::Unknown(Why::Fault, error.to_string(), false),
        })
    }

    /// A backup whose manifest is missing or broken may be mended. What the rest of the manifest
    /// and the inventory name counts. Where one of them can't be read, or not to its end, it is
    /// not known what the backup needs.
    async fn reference_of_damaged(&self, id: &BackupId, detail: String) -> Result<Found> {
        let key = manifest_key(id);
        let text = match self.read_small(&key, manifest::MANIFEST_LIMIT).await {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::Invalid => None,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error.into()),
            Err(error) => return Ok(Found::Unknown(Why::Fault, error.to_string(), false)),
        };
        let raw = text.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let raw = raw.unwrap_or_default();
        let format = raw.get("format").and_then(Value::as_u64);
        if format.is_some_and(|format| format > u64::from(manifest::FORMAT)) {
            // It is no damage that this release can't read it.
            return Ok(Found::Unknown(Why::Newer, detail, false));
        }
        let named = raw.get("stored_in").and_then(Value::as_object);
        let named = named.into_iter().flat_map(serde_json::Map::keys);
        let mut holders = BTreeSet::new();
        for name in named {
            match BackupId::parse(name) {
                Ok(holder) => drop(holders.insert(holder)),
                Err(error) => {
                    let detail = format!("manifest.json: stored_in: {error}");
                    return Ok(Found::Unknown(Why::Fault, detail, true));
                }
            }
        }
        // The damage may be in one of these names.
        let read = async {
            let mut records = self.readable_references(id).await?;
            while let Some((holder, _)) = records.try_next().await? {
                holders.insert(holder);
            }
            Ok::<_, CoreError>(())
        };
        Ok(match read.await {
            Ok(()) => Found::Damaged(holders),
            Err(error) => Found::Unknown(Why::Fault, error.to_string(), !holders.is_empty()),
        })
    }

    /// The files of the backup `id` that lie in other folders, with these, by its inventory,
    /// whatever the manifest says. A backup without inventory has none.
    ///
    /// # Errors
    /// Where the inventory can't be read, or is damaged: also in the stream, which then says
    /// nothing of what follows.
    pub(super) async fn readable_references(
        &self,
        id: &BackupId,
    ) -> Result<BoxStream<'static, Result<(BackupId, RetainedFile), CoreError>>, CoreError> {
        for key in inventory_keys(id) {
            let object = match self.sink.get(&key, GetOptions::default()).await {
                Ok(object) => object,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let lines = match key.ends_with(INVENTORY) {
                true => lines(object.body, &key).boxed(),
                false => compressed_lines(object.body, &key)?.boxed(),
            };
            let mut last = String::new();
            let found = lines.map(move |line| {
                reference(&line?, &mut last)
                    .map_err(|text| CoreError::new(ErrorKind::Invalid, "read", &*key, text))
            });
            return Ok(found
                .filter_map(|found| std::future::ready(found.transpose()))
                .boxed());
        }
        Ok(stream::empty().boxed())
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
        for Unknown {
            id, why, detail, ..
        } in &references.unknown
        {
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

/// What a line of an inventory says of a file in another folder. `last` is the path of the line
/// before.
fn reference(line: &[u8], last: &mut String) -> Result<Option<(BackupId, RetainedFile)>, String> {
    #[derive(Deserialize)]
    struct Line {
        path: String,
        size: u64,
        stored_in: Option<String>,
    }
    let line: Line =
        serde_json::from_slice(line).map_err(|e| format!("a line is not one of a file: {e}"))?;
    if line.path <= *last {
        return Err(format!("`{}` is not in order", line.path));
    }
    last.clone_from(&line.path);
    let Some(holder) = line.stored_in else {
        return Ok(None);
    };
    let holder = BackupId::parse(&holder).map_err(|e| format!("`{}`: {e}", line.path))?;
    let (path, size) = (line.path, line.size);
    Ok(Some((holder, RetainedFile { path, size })))
}
