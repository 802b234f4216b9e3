//! A sink in memory.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

use crate::{
    Access, BufferedUpload, Child, EntityTag, Error, ErrorKind, GetOptions, Key, ListOptions,
    ListStream, Listed, LockGuard, LockOutcome, Meta, Object, Result, Sink, SinkProperties, Upload,
    WriteOptions,
};

/// A sink that keeps everything in memory: for tests, for benchmarks, and to read as the smallest
/// complete [`Sink`].
///
/// Clones share their contents.
#[derive(Debug, Clone, Default)]
pub struct MemorySink {
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    objects: BTreeMap<Key, Stored>,
    locks: BTreeMap<Key, String>,
    writes: u64,
}

impl Contents {
    /// The first object that a listing with these options has.
    fn next_in(&self, options: &ListOptions) -> Option<Meta> {
        self.objects
            .range::<str, _>((Bound::Included(&*options.first()), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&options.prefix))
            .find(|(key, _)| !options.skips(key))
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
            file_id: None,
        }
    }
}

impl MemorySink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn put(&self, key: Key, bytes: Bytes, options: &WriteOptions) -> Result<Meta> {
        let mut contents = self.contents();
        if options.create_new && contents.objects.contains_key(&key) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "write",
                key.as_str(),
                "it exists already",
            ));
        }
        contents.writes += 1;
        let stored = Stored {
            bytes,
            modified: options.modified.unwrap_or_else(SystemTime::now),
            mode: options.mode,
            etag: contents.writes,
        };
        let meta = stored.meta(&key);
        contents.objects.insert(key, stored);
        Ok(meta)
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // A panic while the lock is held leaves whole objects: every change is one map operation.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn properties(&self) -> SinkProperties {
        SinkProperties {
            // A number that no other write has.
            entity_tag: EntityTag::Strong,
            access: Access::Direct,
            keeps_attributes: true,
            shares_clock: true,
            ..SinkProperties::default()
        }
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        let (sink, key) = (self.clone(), key.clone());
        Ok(Box::new(BufferedUpload::new(|bytes| async move {
            sink.put(key, bytes, &options)
        })))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let stored = self.contents().objects.get(key).cloned();
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
        Ok(Object::from_bytes(meta, stored.bytes, options.range))
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        Ok(self
            .contents()
            .objects
            .get(key)
            .map(|stored| stored.meta(key)))
    }

    fn list(&self, options: ListOptions) -> ListStream {
        // One key at a time, so that a listing sees what is there when it comes to it, as a paged
        // one does.
        stream::unfold((self.clone(), options), |(sink, mut options)| async move {
            let meta = sink.contents().next_in(&options)?;
            options.start_after = Some(meta.key.to_string());
            Some((Ok(Listed::Object(meta)), (sink, options)))
        })
        .boxed()
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        (self as &dyn Sink).children_by_listing(folder).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let mut contents = self.contents();
        for key in keys {
            contents.objects.remove(key);
        }
        Ok(())
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        let mut contents = self.contents();
        if let Some(other) = contents.locks.get(key) {
            return Ok(LockOutcome::Busy(other.clone()));
        }
        contents.locks.insert(key.clone(), holder.to_owned());
        drop(contents);
        Ok(LockOutcome::Held(Box::new(MemoryLock {
            sink: self.clone(),
            key: key.clone(),
            released: AtomicBool::new(false),
        })))
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        Ok(self.contents().locks.get(key).cloned())
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
            self.sink.contents().locks.remove(&self.key);
        }
        Ok(())
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        if !*self.released.get_mut() {
            self.sink.contents().locks.remove(&self.key);
        }
    }
}
