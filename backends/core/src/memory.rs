//! A sink in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};

use crate::{
    Body, Capabilities, Child, Error, ErrorKind, GetOptions, Key, ListOptions, ListStream, Listed,
    LockGuard, LockOutcome, Meta, Object, Result, Sink, Upload, WriteOptions,
};

/// A sink that keeps everything in memory: for tests, for benchmarks, and to read as the smallest complete [`Sink`].
///
/// Clones share their contents.
#[derive(Debug, Clone, Default)]
pub struct MemorySink {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<Key, Stored>,
    locks: BTreeMap<Key, String>,
    writes: u64,
}

impl State {
    /// The first object that a listing with these options has.
    fn next_in(&self, options: &ListOptions) -> Option<Meta> {
        let after = options.start_after.as_deref().unwrap_or_default();
        let from = after.max(&options.prefix);
        self.objects
            .range::<str, _>((Bound::Included(from), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&options.prefix))
            .filter(|(key, _)| key.as_str() > after)
            .find(|(key, _)| !options.skip.iter().any(|folder| key.is_within(folder)))
            .map(|(key, stored)| stored.meta(key))
    }
}

#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    modified: SystemTime,
    mode: Option<u32>,
    etag: u64,
}

impl Stored {
    fn meta(&self, key: &Key) -> Meta {
        Meta {
            key: key.clone(),
            size: self.bytes.len() as u64,
            modified: Some(self.modified),
            mode: self.mode,
            etag: Some(self.etag.to_string()),
            archived: false,
        }
    }
}

impl MemorySink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves whole objects: every change is one map operation.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            attributes: true,
            ..Capabilities::default()
        }
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        if options.stage.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "stage",
                key.as_str(),
                "this sink can't stage objects",
            ));
        }
        Ok(Box::new(MemoryUpload {
            sink: self.clone(),
            key: key.clone(),
            options,
            bytes: BytesMut::new(),
        }))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let stored = self.state().objects.get(key).cloned();
        let Some(stored) = stored else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "read",
                key.as_str(),
                "it does not exist",
            ));
        };
        let meta = stored.meta(key);
        if options.if_match.is_some() && options.if_match != meta.etag {
            return Err(Error::new(
                ErrorKind::Changed,
                "read",
                key.as_str(),
                "it has changed",
            ));
        }
        let range = options.range.unwrap_or(0..meta.size);
        // Both bounds are at most the length of bytes in memory.
        let end = range.end.min(meta.size) as usize;
        let start = (range.start.min(meta.size) as usize).min(end);
        Ok(Object {
            meta,
            body: Body::from_bytes(stored.bytes.slice(start..end)),
        })
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        Ok(self.state().objects.get(key).map(|stored| stored.meta(key)))
    }

    fn list(&self, options: ListOptions) -> ListStream {
        // One key at a time, so that a listing sees what is there when it comes to it, as a paged one does.
        stream::unfold((self.clone(), options), |(sink, mut options)| async move {
            let meta = sink.state().next_in(&options)?;
            options.start_after = Some(meta.key.to_string());
            Some((Ok(Listed::Object(meta)), (sink, options)))
        })
        .boxed()
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        let prefix = folder
            .map(|folder| format!("{folder}/"))
            .unwrap_or_default();
        let state = self.state();
        let mut objects = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for key in state.objects.keys() {
            if let Some(rest) = key.strip_prefix(prefix.as_str()) {
                match rest.split_once('/') {
                    Some((name, _)) => folders.insert(name.to_owned()),
                    None => objects.insert(rest.to_owned()),
                };
            }
        }
        let mut children: Vec<_> = (objects.into_iter().map(Child::Object))
            .chain(folders.into_iter().map(Child::Folder))
            .collect();
        children.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(children)
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let mut state = self.state();
        for key in keys {
            state.objects.remove(key);
        }
        Ok(())
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        let mut state = self.state();
        if let Some(other) = state.locks.get(key) {
            return Ok(LockOutcome::Busy(other.clone()));
        }
        state.locks.insert(key.clone(), holder.to_owned());
        drop(state);
        Ok(LockOutcome::Held(Box::new(MemoryLock {
            sink: self.clone(),
            key: key.clone(),
            released: AtomicBool::new(false),
        })))
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        Ok(self.state().locks.get(key).cloned())
    }
}

struct MemoryUpload {
    sink: MemorySink,
    key: Key,
    options: WriteOptions,
    bytes: BytesMut,
}

#[async_trait]
impl Upload for MemoryUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Meta> {
        let mut state = self.sink.state();
        if self.options.create_new && state.objects.contains_key(&self.key) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "write",
                self.key.as_str(),
                "it exists already",
            ));
        }
        state.writes += 1;
        let stored = Stored {
            bytes: self.bytes.freeze(),
            modified: self.options.modified.unwrap_or_else(SystemTime::now),
            mode: self.options.mode,
            etag: state.writes,
        };
        let meta = stored.meta(&self.key);
        state.objects.insert(self.key, stored);
        Ok(meta)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct MemoryLock {
    sink: MemorySink,
    key: Key,
    released: AtomicBool,
}

#[async_trait]
impl LockGuard for MemoryLock {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn release(&self) -> Result<()> {
        if !self.released.swap(true, Ordering::Relaxed) {
            self.sink.state().locks.remove(&self.key);
        }
        Ok(())
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        if !*self.released.get_mut() {
            self.sink.state().locks.remove(&self.key);
        }
    }
}
