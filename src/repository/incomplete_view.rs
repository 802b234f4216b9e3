//! Incomplete copies as a read-only sink, in which each looks like a backup.

use std::sync::Arc;

use arc_backup_core::{
    Child, Error as CoreError, ErrorKind, GetOptions, Key, ListOptions, ListStream, Listed,
    LockOutcome, Meta, Object, Result as CoreResult, Sink, SinkProperties, Upload, WriteOptions,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::layout::{INCOMPLETE, INCOMPLETE_MANIFEST, own};
use crate::own_folder::OWN_FOLDER;

/// The name of the manifest of a backup.
const MANIFEST: &str = "manifest.json";

fn is_manifest(key: &str) -> bool {
    key.strip_suffix(MANIFEST)
        .is_some_and(|above| above.ends_with('/') && above.matches('/').count() == 1)
}

/// The folder of incomplete copies as a read-only sink in which each looks like a backup.
#[derive(Debug)]
pub(super) struct IncompleteView {
    sink: Arc<dyn Sink>,
}

impl IncompleteView {
    /// The incomplete copies in the target `sink`.
    pub(super) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink }
    }

    fn inner(key: &str) -> String {
        let key = match key.strip_suffix(MANIFEST) {
            Some(above) if is_manifest(key) => format!("{above}{INCOMPLETE_MANIFEST}"),
            _ => key.to_owned(),
        };
        format!("{OWN_FOLDER}/{INCOMPLETE}/{key}")
    }

    fn outer(key: &Key) -> Option<Key> {
        let rest = key.strip_prefix(&format!("{OWN_FOLDER}/{INCOMPLETE}/"))?;
        match rest.strip_suffix(INCOMPLETE_MANIFEST) {
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
impl Sink for IncompleteView {
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
        // Names within a copy are in another order there, and may have other prefixes: only whole
        // folders are listed.
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
        // `incomplete.json` is listed before names that `manifest.json` comes behind.
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
            None => own(INCOMPLETE),
        };
        let children = self.sink.list_children(Some(&inside)).await?;
        // Within a copy, the manifest has its usual name.
        Ok(children
            .into_iter()
            .map(|child| match child {
                Child::Object(name) if name == INCOMPLETE_MANIFEST => {
                    Child::Object(MANIFEST.to_owned())
                }
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

    /// Guards against: a list of a copy that is not in byte order, as its inventory is.
    #[tokio::test]
    async fn a_copy_is_listed_in_byte_order_with_a_manifest() {
        let sink = Arc::new(MemorySink::default());
        for id in ["backup-a", "backup-b"] {
            for rest in [
                "data/x",
                INCOMPLETE_MANIFEST,
                "inventory.jsonl",
                "metadata/arc.db",
            ] {
                let key = own(&format!("{INCOMPLETE}/{id}/{rest}"));
                let upload = sink.begin(&key, WriteOptions::default()).await;
                upload.expect("begun").commit().await.expect("committed");
            }
        }
        let view = IncompleteView::new(sink);
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
