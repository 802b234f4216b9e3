//! Incomplete copies: what a backup has stored whose source had files that could not be read. For emergencies.
//!
//! They lie under `.arc-backup/incomplete/{backup_id}/`, with `incomplete.json` in place of `manifest.json`, where neither a list
//! nor Arc takes them for backups.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_backup_core::{
    Child, Error as CoreError, ErrorKind, GetOptions, Key, ListOptions, ListStream, Listed,
    LockOutcome, Meta, Object, Result as CoreResult, Sink, SinkProperties, Upload, WriteOptions,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::journal::{Journals, without_right};
use super::{BackupState, Repository, Swept, folder, own};
use crate::manifest::{BackupId, Manifest};
use crate::{Error, Result};

const FOLDER: &str = "incomplete";
/// What stands in place of the manifest.
const INSTEAD: &str = "incomplete.json";
/// How many missing files are named in a list.
const MISSING: usize = 100;
const MANIFEST: &str = "manifest.json";

/// An incomplete copy, in a list.
#[derive(Debug, Clone, PartialEq, poem_openapi::Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Incomplete {
    /// The id of the backup that it would have been.
    pub backup_id: String,
    /// When that began, RFC 3339, UTC.
    pub created_at: String,
    /// The target that holds it.
    pub target: String,
    /// Always `incomplete`.
    pub state: BackupState,
    /// Parquet files of databases that it holds.
    pub total_files: u64,
    /// Their size in bytes.
    pub total_size_bytes: u64,
    /// All files that it holds, databases and configuration too.
    pub files: Option<u64>,
    /// Their size in bytes.
    pub bytes: Option<u64>,
    /// Files that could not be read, and are not in it; a folder that could not be listed counts as one, and stands for all that
    /// is in it.
    pub missing_files: u64,
    /// The first of them, each with the reason; the path of a folder ends in `/`.
    pub missing: Vec<String>,
    /// How much is missing, in words.
    pub lacks: String,
}

impl Repository {
    /// The incomplete copies as a repository of their own, to be read only: a restore works on it as on any.
    #[must_use]
    pub(crate) fn incomplete(&self) -> Self {
        Self {
            name: self.name.clone(),
            sink: Arc::new(Within {
                sink: self.sink.clone(),
            }),
            target: Some(self.sink.clone()),
            activity: self.activity.clone(),
        }
    }

    /// Makes what is stored of `id` an incomplete copy, told of by `manifest`.
    pub(crate) async fn keep_incomplete(&self, id: &BackupId, manifest: Vec<u8>) -> Result<()> {
        let to = own(&format!("{FOLDER}/{id}"));
        self.sink
            .move_tree(&folder(id), &to, &self.activity)
            .await?;
        // From here on it exists.
        self.put(&own(&format!("{FOLDER}/{id}/{INSTEAD}")), manifest)
            .await
    }

    /// Lists the incomplete copies, newest first. What is damaged among them is left out, with a warning.
    ///
    /// # Errors
    /// When the target can't be listed.
    pub async fn list_incomplete(&self) -> Result<Vec<Incomplete>> {
        let manifests = self.incomplete_manifests().await?;
        Ok((manifests.iter())
            .map(|(_, manifest)| self.incomplete_row(manifest))
            .collect())
    }

    /// The same, with all that there is to say of them.
    pub(crate) async fn incomplete_manifests(&self) -> Result<Vec<(BackupId, Manifest)>> {
        let view = self.incomplete();
        let mut found = Vec::new();
        for child in view.sink.list_children(None).await? {
            let Ok(id) = BackupId::parse(child.name()) else {
                continue;
            };
            match view.load(&id).await {
                Ok(loaded) => found.push((id, loaded.manifest)),
                // On its way to become one.
                Err(Error::NotFound(_)) => {}
                Err(Error::Storage(error)) if error.kind() == ErrorKind::Unavailable => {
                    return Err(error.into());
                }
                Err(error) => tracing::warn!(%id, %error, "an incomplete copy can't be read"),
            }
        }
        found.sort_by(|(a, _), (b, _)| b.as_str().cmp(a.as_str()));
        Ok(found)
    }

    fn incomplete_row(&self, manifest: &Manifest) -> Incomplete {
        Incomplete {
            backup_id: manifest.backup_id.clone(),
            created_at: manifest.created_at.clone(),
            target: self.name.clone(),
            state: BackupState::Incomplete,
            total_files: manifest.total_files,
            total_size_bytes: manifest.total_size_bytes,
            files: manifest.inventory.as_ref().map(|all| all.entries),
            bytes: manifest.inventory.as_ref().map(|all| all.bytes),
            missing_files: manifest.missing_files,
            lacks: manifest.lacks(),
            missing: (manifest.missing.iter().take(MISSING))
                .map(|missing| format!("{}: {}", missing.path, missing.detail))
                .collect(),
        }
    }

    /// Whether there is anything of an incomplete copy of that id.
    pub(crate) async fn has_incomplete(&self, id: &BackupId) -> Result<bool> {
        let children = (self.sink.list_children(Some(&own(FOLDER)))).await?;
        match children.iter().find(|child| child.name() == id.as_str()) {
            Some(Child::Folder(_)) => self.has_anything_in(&own(&format!("{FOLDER}/{id}"))).await,
            found => Ok(found.is_some()),
        }
    }

    /// Whether there is an incomplete copy of that id, whatever is in it: it was told of.
    pub(crate) async fn holds_incomplete(&self, id: &BackupId) -> Result<bool> {
        match self
            .sink
            .head(&own(&format!("{FOLDER}/{id}/{INSTEAD}")))
            .await
        {
            Ok(meta) => Ok(meta.is_some()),
            // Something that is no file; or the whole target is none.
            Err(error) if error.kind() == ErrorKind::Invalid => self.has_incomplete(id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Removes an incomplete copy; an absent one is no error.
    pub(crate) async fn remove_incomplete(&self, id: &BackupId) -> Result<()> {
        let told = own(&format!("{FOLDER}/{id}/{INSTEAD}"));
        self.sink.delete(&[told]).await?;
        Ok((self.sink)
            .remove_tree(&own(&format!("{FOLDER}/{id}")), &self.activity)
            .await?)
    }

    /// Removes the incomplete copies that nobody needs any more who has the backup `made`, and tells how many: older ones of
    /// the same storage, with nothing that it lacks.
    pub(crate) async fn remove_incomplete_before(&self, made: &Manifest) -> Result<u64> {
        let mut count = 0;
        for (id, copy) in self.incomplete_manifests().await? {
            if made.supersedes(&copy) {
                self.remove_incomplete(&id)
                    .await
                    .map_err(|error| match error {
                        Error::Storage(error) if error.kind() == ErrorKind::PermissionDenied => {
                            Error::Failed(without_right(&error))
                        }
                        error => error,
                    })?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// What never became an incomplete copy, and the rest of a journal, with no journal any more that names them: their holder
    /// lost its lock, and was then killed. Removed with `apply`.
    pub(crate) async fn sweep_nameless(&self, apply: bool) -> Result<Swept> {
        let Journals { open, ended, told } = self.journals().await?;
        let mut swept = Swept::default();
        let mut found = BTreeSet::new();
        for child in self.sink.list_children(Some(&own(FOLDER))).await? {
            let Ok(id) = BackupId::parse(child.name()) else {
                continue;
            };
            // With its inventory it may be a copy that has lost no more than what tells of it.
            let within = own(&format!("{FOLDER}/{id}"));
            let names = match self.sink.list_children(Some(&within)).await {
                Ok(names) => names,
                Err(error) => {
                    swept.add_fault(id.as_str(), &error.into());
                    continue;
                }
            };
            let is_told =
                (names.iter()).any(|child| [INSTEAD, "inventory.jsonl"].contains(&child.name()));
            if open.contains(&id) || is_told || !self.has_anything_in(&within).await? {
                continue;
            }
            if apply && let Err(error) = self.remove_incomplete(&id).await {
                swept.left.push(id.to_string());
                swept.add_fault(id.as_str(), &error);
            }
            found.insert(id.to_string());
        }
        for id in told {
            let told = own(&format!("journal/{id}"));
            if open.contains(&id) || ended.contains(&id) || !self.has_anything_in(&told).await? {
                continue;
            }
            if apply && let Err(error) = self.sink.remove_tree(&told, &self.activity).await {
                swept.left.push(id.to_string());
                swept.add_fault(id.as_str(), &error.into());
            }
            found.insert(id.to_string());
        }
        swept.unfinished = found.into_iter().collect();
        Ok(swept)
    }

    /// Removes what was on its way to become an incomplete copy.
    pub(super) async fn remove_untold(&self, id: &BackupId) -> Result<()> {
        if !self.has_incomplete(id).await? {
            return Ok(());
        }
        let told = own(&format!("{FOLDER}/{id}/{INSTEAD}"));
        if self.sink.head(&told).await?.is_none() {
            self.remove_incomplete(id).await?;
        }
        Ok(())
    }
}

fn is_manifest(key: &str) -> bool {
    key.strip_suffix(MANIFEST)
        .is_some_and(|above| above.ends_with('/') && above.matches('/').count() == 1)
}

/// The folder of incomplete copies as a sink in which each looks like a backup. Reads only.
#[derive(Debug)]
struct Within {
    sink: Arc<dyn Sink>,
}

impl Within {
    fn inner(key: &str) -> String {
        let key = match key.strip_suffix(MANIFEST) {
            Some(above) if is_manifest(key) => format!("{above}{INSTEAD}"),
            _ => key.to_owned(),
        };
        format!("{}/{FOLDER}/{key}", super::OWN_FOLDER)
    }

    fn outer(key: &Key) -> Option<Key> {
        let rest = key.strip_prefix(&format!("{}/{FOLDER}/", super::OWN_FOLDER))?;
        match rest.strip_suffix(INSTEAD) {
            Some(above) if above.matches('/').count() == 1 => {
                Key::parse(&format!("{above}{MANIFEST}")).ok()
            }
            _ => Key::parse(rest).ok(),
        }
    }

    fn key(key: &Key) -> CoreResult<Key> {
        Key::parse(&Self::inner(key))
            .map_err(|e| CoreError::new(ErrorKind::Invalid, "read", key.as_str(), e.to_string()))
    }

    fn refused<T>(key: &str) -> CoreResult<T> {
        Err(CoreError::new(
            ErrorKind::Unsupported,
            "write",
            key,
            "incomplete copies are only read",
        ))
    }
}

// Copies are only read: none of the optional objects is passed on.
#[async_trait]
impl Sink for Within {
    fn location(&self) -> String {
        self.sink.location()
    }

    fn properties(&self) -> SinkProperties {
        let mut properties = self.sink.properties();
        // A copy is not a folder of its own there: names in it differ.
        properties.local_path = None;
        properties
    }

    async fn begin(&self, key: &Key, _options: WriteOptions) -> CoreResult<Box<dyn Upload>> {
        Self::refused(key)
    }

    async fn get(&self, key: &Key, options: GetOptions) -> CoreResult<Object> {
        let mut object = self.sink.get(&Self::key(key)?, options).await?;
        object.meta.key = key.clone();
        Ok(object)
    }

    async fn head(&self, key: &Key) -> CoreResult<Option<Meta>> {
        let meta = self.sink.head(&Self::key(key)?).await?;
        Ok(meta.map(|meta| Meta {
            key: key.clone(),
            ..meta
        }))
    }

    fn list(&self, options: ListOptions) -> ListStream {
        // Names within a copy are not in the same order there, nor have they the same beginnings: only whole folders are.
        let (prefix, start_after) = (options.prefix, options.start_after.unwrap_or_default());
        let folder = prefix
            .rsplit_once('/')
            .map_or("", |(above, _)| &prefix[..=above.len()]);
        let within = ListOptions {
            prefix: Self::inner(folder),
            start_after: None,
            skip: options.skip.iter().map(|key| Self::inner(key)).collect(),
        };
        let rows = (self.sink.list(within)).filter_map(async |item| match item {
            Ok(Listed::Object(meta)) => Some(Ok(Listed::Object(Meta {
                key: Self::outer(&meta.key)?,
                ..meta
            }))),
            Ok(Listed::Other { path, kind }) => {
                let rest = path.strip_prefix(&Self::inner("")).map(str::to_owned);
                let path = rest.unwrap_or(path);
                Some(Ok(Listed::Other { path, kind }))
            }
            Err(error) if error.is_of_one_place() => {
                let place =
                    (error.subject().strip_prefix(&Self::inner(""))).unwrap_or(error.subject());
                let outer = CoreError::new(error.kind(), error.operation(), place, error.detail());
                Some(Err(outer.with_source(error).of_one_place()))
            }
            Err(error) => Some(Err(error)),
        });
        // What stands in place of a manifest comes before things that a manifest comes behind.
        let mut held: Option<Meta> = None;
        rows.map(Some)
            .chain(stream::iter([None]))
            .flat_map(move |row| {
                let mut rows = Vec::new();
                let is_behind = |held: &Meta| match &row {
                    Some(Ok(Listed::Object(meta))) => *held.key < *meta.key,
                    Some(Ok(Listed::Other { path, .. })) => *held.key < **path,
                    Some(Err(_)) | None => true,
                };
                if let Some(held) = held.take_if(|held| is_behind(held)) {
                    rows.push(Ok(Listed::Object(held)));
                }
                match row {
                    Some(Ok(Listed::Object(meta))) if is_manifest(&meta.key) => held = Some(meta),
                    row => rows.extend(row),
                }
                stream::iter(rows)
            })
            .filter(move |row| {
                let wanted = match row {
                    Ok(Listed::Object(meta)) => {
                        meta.key.starts_with(&prefix) && *meta.key > *start_after
                    }
                    Ok(Listed::Other { path, .. }) => {
                        path.starts_with(&prefix) && *path > start_after
                    }
                    Err(_) => true,
                };
                std::future::ready(wanted)
            })
            .boxed()
    }

    async fn list_children(&self, folder: Option<&Key>) -> CoreResult<Vec<Child>> {
        let inside = match folder {
            Some(folder) => Self::key(folder)?,
            None => own(FOLDER),
        };
        let children = self.sink.list_children(Some(&inside)).await?;
        // The list of copies has none that is not told of yet; within one, the manifest has its usual name.
        Ok(children
            .into_iter()
            .map(|child| match child {
                Child::Object(name) if name == INSTEAD => Child::Object(MANIFEST.to_owned()),
                other => other,
            })
            .collect())
    }

    async fn delete(&self, keys: &[Key]) -> CoreResult<()> {
        Self::refused(keys.first().map_or("", |key| key.as_str()))
    }

    async fn lock(&self, key: &Key, _holder: &str) -> CoreResult<LockOutcome> {
        Self::refused(key)
    }

    async fn lock_holder(&self, _key: &Key) -> CoreResult<Option<String>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use arc_backup_core::MemorySink;
    use futures::TryStreamExt;

    use super::*;

    /// Lost otherwise: whatever reads the list of a copy beside its inventory, which is in byte order.
    #[tokio::test]
    async fn a_copy_is_listed_in_byte_order_with_a_manifest() {
        let sink = Arc::new(MemorySink::default());
        for id in ["backup-a", "backup-b"] {
            for rest in ["data/x", INSTEAD, "inventory.jsonl", "metadata/arc.db"] {
                let key = own(&format!("{FOLDER}/{id}/{rest}"));
                let upload = sink.begin(&key, WriteOptions::default()).await;
                upload.expect("begun").commit().await.expect("committed");
            }
        }
        let view = Within { sink };
        let listed: Vec<_> =
            (view.list(ListOptions::default()).try_collect().await).expect("listed");
        let keys: Vec<&str> = (listed.iter())
            .map(|row| match row {
                Listed::Object(meta) => &*meta.key,
                Listed::Other { path, .. } => path,
            })
            .collect();
        let all = ["data/x", "inventory.jsonl", MANIFEST, "metadata/arc.db"];
        let expected: Vec<_> = (["backup-a", "backup-b"].iter())
            .flat_map(|id| all.map(|rest| format!("{id}/{rest}")))
            .collect();
        assert_eq!(keys, expected);

        let options = ListOptions {
            prefix: "backup-a/".to_owned(),
            start_after: Some("backup-a/inventory.jsonl".to_owned()),
            ..ListOptions::default()
        };
        let behind: Vec<_> = (view.list(options))
            .map_ok(|row| match row {
                Listed::Object(meta) => meta.key.to_string(),
                Listed::Other { path, .. } => path,
            })
            .try_collect()
            .await
            .expect("listed");
        assert_eq!(
            behind,
            expected[2..4],
            "only what lies behind, in their order"
        );
    }
}
