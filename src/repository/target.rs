//! The backups in one target.

use std::path::Path;
use std::sync::Arc;

use arc_backup_core::{
    Activity, Error as CoreError, ErrorKind, GetOptions, Key, Meta, Purpose, Sink, WriteOptions,
};

use super::list_cache::ListCache;
use crate::{Error, Result};

/// The backups in one target.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(super) name: String,
    pub(super) sink: Arc<dyn Sink>,
    /// The whole target, where `sink` is only a part of it.
    pub(super) target: Option<Arc<dyn Sink>>,
    /// Counts the steps that long requests take.
    pub(super) activity: Activity,
    /// The repositories that hold a leg each, where this one is of a run: the first is this one,
    /// that of the default leg.
    pub(super) legs: Vec<Repository>,
    /// What the last lists read of it.
    pub(super) list_cache: Option<ListCache>,
}

impl Repository {
    /// The repository of the target `name` in `sink`.
    #[must_use]
    pub fn new(name: impl Into<String>, sink: Arc<dyn Sink>) -> Self {
        Self {
            name: name.into(),
            sink,
            target: None,
            activity: Activity::default(),
            legs: Vec::new(),
            list_cache: None,
        }
    }

    /// The same, which keeps what lists read in the folder for state.
    #[must_use]
    pub(crate) fn with_list_cache(self, state_folder: &Path) -> Self {
        let cache = ListCache::new(state_folder, &self.name, &self.sink.location());
        Self {
            list_cache: Some(cache),
            ..self
        }
    }

    /// The repository of backups whose legs lie in these, the default leg in the first. Whatever
    /// is not part of a leg, such as files set aside, goes there too.
    #[must_use]
    pub(crate) fn of_legs(legs: Vec<Self>) -> Option<Self> {
        let first = legs.first()?.clone();
        Some(Self { legs, ..first })
    }

    /// The repositories of the legs; empty where a target has the whole backup.
    pub(crate) fn legs(&self) -> &[Self] {
        &self.legs
    }

    /// This one, or those of the legs, in the order of their names: that of their locks.
    pub(crate) fn parts(&self) -> Vec<&Self> {
        let mut parts: Vec<_> = match self.legs.is_empty() {
            true => vec![self],
            false => self.legs.iter().collect(),
        };
        parts.sort_by(|a, b| a.name.cmp(&b.name));
        parts
    }

    /// The names of the targets, as messages have them.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.parts().iter().map(|part| part.name()).collect();
        names.join(", ")
    }

    /// The same, counting its steps in `activity`.
    #[must_use]
    pub(crate) fn with_activity(&self, activity: &Activity) -> Self {
        Self {
            activity: activity.clone(),
            legs: (self.legs.iter())
                .map(|leg| leg.with_activity(activity))
                .collect(),
            ..self.clone()
        }
    }

    /// The target's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The target, as messages name it.
    pub(crate) fn label(&self) -> String {
        format!("target {:?}", self.name)
    }

    /// The target, or the part of it that the backups are in.
    #[must_use]
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// The whole target.
    pub(crate) fn target_sink(&self) -> &Arc<dyn Sink> {
        self.target.as_ref().unwrap_or(&self.sink)
    }

    /// The same error, as one of this target where it is of a storage.
    pub(crate) fn named(&self, error: Error) -> Error {
        match error {
            Error::Storage(error) => Error::Target {
                target: self.name().to_owned(),
                error,
            },
            Error::Context { context, source } => self.named(*source).context(context),
            other => other,
        }
    }

    /// Writes a small object, whole and durable.
    pub(crate) async fn put(&self, key: &Key, bytes: Vec<u8>) -> Result<()> {
        let options = WriteOptions {
            size_hint: Some(bytes.len() as u64),
            durable: true,
            purpose: Purpose::Control,
            ..WriteOptions::default()
        };
        let mut upload = self.sink.begin(key, options).await?;
        upload.write(bytes.into()).await?;
        upload.commit().await?;
        Ok(())
    }

    /// Reads a small object; `None` when it is absent.
    pub(crate) async fn read_small(
        &self,
        key: &Key,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, CoreError> {
        let read = self.read_small_with_meta(key, limit).await?;
        Ok(read.map(|(bytes, _)| bytes))
    }

    /// The same, with what is known of the object.
    pub(super) async fn read_small_with_meta(
        &self,
        key: &Key,
        limit: u64,
    ) -> Result<Option<(Vec<u8>, Meta)>, CoreError> {
        match self.sink.get(key, GetOptions::default()).await {
            Ok(object) => Ok(Some((object.body.collect(limit, key).await?, object.meta))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
