//! The sink itself.

use std::io::{Seek as _, SeekFrom};

use arc_backup_core::{
    Activity, AsideArea, AsideAreas, AsideMode, BlockingJob, Body, Capabilities, Child, Discard,
    Discarded, Durability, Error, ErrorKind, GetOptions, Key, ListOptions, ListStream, LockOutcome,
    Meta, Object, Pins, Result, Sink, Upload, WriteOptions,
};
use async_trait::async_trait;

use crate::config::LocalConfig;
use crate::durability::{HAS_SYNCFS, Mark};
use crate::error::{Fault, blocking, broken_off, present};
use crate::lacks::is_lacking;
use crate::paths::{aside_path, is_temporary, split};
use crate::root::Root;
use crate::upload::LocalUpload;
use crate::{aside, lock, pins, remove, upload, walk};

/// A folder on local disk as a [`Sink`].
///
/// Clones are the same sink.
#[derive(Debug, Clone)]
pub struct LocalSink {
    root: Root,
}

impl LocalSink {
    /// The sink of this configuration. Touches nothing: the root is opened anew by each operation, and created
    /// by the first that writes.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        Self {
            root: Root::new(config.root).like_root(config.folders_like_root),
        }
    }

    /// Does `work` on the root and `key` on a thread made for waiting.
    async fn with_key<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &Key,
        work: impl FnOnce(&Root, Key) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let (root, at) = (self.root.clone(), key.clone());
        blocking(operation, key, move || work(&root, at)).await
    }
}

#[async_trait]
impl Sink for LocalSink {
    fn location(&self) -> String {
        self.root.text()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.local_root = Some(self.root.path().to_owned());
        capabilities.staging = true;
        capabilities.aside = true;
        capabilities.attributes = true;
        capabilities
    }

    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        let upload =
            LocalUpload::begin(self.root.clone(), key.clone(), options, !HAS_SYNCFS).await?;
        Ok(Box::new(upload))
    }

    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        let object = self
            .with_key("read", key, move |root, key| get(root, key, options))
            .await?;
        object.ok_or_else(|| {
            Error::new(
                ErrorKind::Changed,
                "read",
                key.as_str(),
                "it has changed since it was listed",
            )
        })
    }

    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        self.with_key("read", key, head).await
    }

    fn list(&self, options: ListOptions) -> ListStream {
        walk::list(self.root.clone(), options)
    }

    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        walk::list_children(self.root.clone(), folder.cloned()).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let (root, keys) = (self.root.clone(), keys.to_vec());
        let job = BlockingJob::begin();
        let work = move || {
            let _job = job;
            remove::delete(&root, &keys)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(|(key, fault)| fault.about("delete", &key)),
            Err(error) => Err(broken_off("delete", &self.location(), error)),
        }
    }

    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        let holder = holder.to_owned();
        self.with_key("lock", key, move |root, key| {
            lock::lock(root, &key, &holder)
        })
        .await
    }

    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.with_key("read the lock", key, |root, key| {
            lock::lock_holder(root, &key)
        })
        .await
    }

    async fn remove_tree(&self, folder: &Key, activity: &Activity) -> Result<()> {
        let activity = activity.clone();
        self.with_key("remove", folder, move |root, folder| {
            remove::remove_tree(root, &folder, &activity)
        })
        .await
    }

    async fn discard_unfinished(
        &self,
        folder: Option<&Key>,
        discard: Discard,
    ) -> Result<Discarded> {
        let (root, path) = (
            self.root.clone(),
            folder.map(Key::to_string).unwrap_or_default(),
        );
        let subject = folder.map_or_else(|| self.location(), Key::to_string);
        blocking("clean up", &subject, move || {
            remove::discard_unfinished(&root, &path, discard)
        })
        .await
    }

    async fn durability(&self) -> Result<Box<dyn Durability>> {
        Ok(Box::new(Mark::open(self.root.clone()).await?))
    }

    async fn free_space(&self) -> Result<Option<u64>> {
        let root = self.root.clone();
        blocking("measure", &self.location(), move || free_space(&root)).await
    }

    async fn duplicate(&self, from: &Key, to: &Key) -> Result<Meta> {
        let to = to.clone();
        self.with_key("link", from, move |root, from| {
            pins::duplicate(root, &from, to)
        })
        .await
    }

    async fn move_tree(&self, from: &Key, to: &Key, activity: &Activity) -> Result<()> {
        // One rename, however much is in it.
        let _ = activity;
        let to = to.clone();
        self.with_key("move", from, move |root, from| {
            remove::move_tree(root, &from, &to)
        })
        .await
    }

    async fn pins(&self, area: &str) -> Result<Box<dyn Pins>> {
        let (root, name) = (self.root.clone(), area.to_owned());
        let pins = blocking("pin", area, move || pins::LocalPins::make(root, &name)).await?;
        Ok(Box::new(pins))
    }

    async fn discard_pins(&self, discard: Discard, activity: &Activity) -> Result<Discarded> {
        let (root, activity) = (self.root.clone(), activity.clone());
        blocking("clean up beside", &self.location(), move || {
            pins::discard(&root, discard, &activity)
        })
        .await
    }

    async fn promote(&self, key: &Key, stage: &str) -> Result<()> {
        let stage = stage.to_owned();
        self.with_key("promote", key, move |root, key| {
            upload::promote(root, &key, &stage, !HAS_SYNCFS)
        })
        .await
    }

    async fn staged(&self, key: &Key, stage: &str) -> Result<Option<Object>> {
        let stage = stage.to_owned();
        self.with_key("read", key, move |root, key| {
            upload::staged(root, key, &stage)
        })
        .await
    }

    async fn discard_staged(&self, key: &Key, stage: &str) -> Result<()> {
        let stage = stage.to_owned();
        self.with_key("discard", key, move |root, key| {
            remove::discard_staged(root, &key, &stage)
        })
        .await
    }

    async fn set_aside(&self, key: &Key, area: &str, mode: AsideMode) -> Result<()> {
        let area = area.to_owned();
        self.with_key("set aside", key, move |root, key| {
            aside::set_aside(root, &key, &area, mode)
        })
        .await
    }

    async fn prepare_aside(&self, area: &str, bytes: u64) -> Result<()> {
        let (root, name) = (self.root.clone(), area.to_owned());
        blocking("prepare to set aside", area, move || {
            aside::prepare(&root, &name, bytes)
        })
        .await
    }

    async fn remove_aside(&self, area: &str, activity: &Activity) -> Result<()> {
        let activity = activity.clone();
        let (root, name) = (self.root.clone(), area.to_owned());
        blocking("remove", area, move || {
            aside::remove_aside(&root, &name, &activity)
        })
        .await
    }

    async fn list_aside(&self) -> Result<Vec<AsideArea>> {
        let place = LocalSink {
            root: Root::new(aside_path(self.root.path())),
        };
        let mut areas = AsideAreas::default();
        areas.add_all(&place, None).await?;
        Ok(areas.into_vec())
    }

    fn aside_location(&self, area: &str) -> Option<String> {
        Some(
            aside_path(self.root.path())
                .join(area)
                .display()
                .to_string(),
        )
    }
}

/// What is known of `key`.
fn head(root: &Root, key: Key) -> Result<Option<Meta>, Fault> {
    let (above, name) = split(&key);
    if is_temporary(name.as_bytes()) {
        return Ok(None);
    }
    let Some(folder) = present(root.open().and_then(|root| root.beneath(above)))? else {
        return Ok(None);
    };
    let status = folder.file_status(name, &key)?;
    Ok(status.map(|status| status.meta(key)))
}

/// Opens `key`; `None` when it is not the object that was asked for.
pub(crate) fn get(root: &Root, key: Key, options: GetOptions) -> Result<Option<Object>, Fault> {
    let (above, name) = split(&key);
    let folder = present(root.open().and_then(|root| root.beneath(above)))?;
    let (Some(folder), false) = (folder, is_temporary(name.as_bytes())) else {
        return Err(Fault::Absent);
    };
    let (mut file, status) = folder.open_file(name, &key)?;
    let meta = status.meta(key);
    if options.if_match.is_some() && options.if_match != meta.etag {
        return Ok(None);
    }
    let range = options.range.unwrap_or(0..meta.size);
    let start = range.start.min(meta.size);
    let len = range.end.min(meta.size).saturating_sub(start);
    if start > 0 {
        file.seek(SeekFrom::Start(start))?;
    }
    Ok(Some(Object {
        meta,
        body: Body::File { file, len },
    }))
}

/// The room that is left for this user where the root is, or will be.
fn free_space(root: &Root) -> Result<Option<u64>, Fault> {
    for path in root.path().ancestors() {
        match rustix::fs::statvfs(path) {
            Ok(room) => return Ok(Some(room.f_bavail.saturating_mul(room.f_frsize))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
            Err(errno) if is_lacking(errno) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(None)
}
