//! Staged objects: temporary files beside their final place, named by the stage and the file.

use arc_backup_core::{Body, Key, Object, OperationId, Result, StagingArea, Upload, WriteOptions};
use async_trait::async_trait;

use crate::durability::HAS_SYNCFS;
use crate::error::{DiskFault, blocking, present};
use crate::paths::{split, staged_name};
use crate::remove::prune;
use crate::root::Root;
use crate::upload::LocalUpload;

/// The staged files under a root.
#[derive(Debug, Clone)]
pub(crate) struct LocalStaging {
    root: Root,
}

impl LocalStaging {
    pub(crate) fn new(root: Root) -> Self {
        Self { root }
    }

    /// Does `work` on a thread made for waiting.
    async fn with<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &Key,
        stage: &OperationId,
        work: impl FnOnce(&Root, Key, &OperationId) -> Result<T, DiskFault> + Send + 'static,
    ) -> Result<T> {
        let (root, at, stage) = (self.root.clone(), key.clone(), stage.clone());
        blocking(operation, key, move || work(&root, at, &stage)).await
    }
}

#[async_trait]
impl StagingArea for LocalStaging {
    async fn begin(
        &self,
        key: &Key,
        stage: &OperationId,
        options: WriteOptions,
    ) -> Result<Box<dyn Upload>> {
        let (root, stage) = (self.root.clone(), Some(stage.clone()));
        let upload = LocalUpload::begin(root, key.clone(), stage, options).await?;
        Ok(Box::new(upload))
    }

    async fn open(&self, key: &Key, stage: &OperationId) -> Result<Option<Object>> {
        self.with("read", key, stage, open).await
    }

    async fn promote(&self, key: &Key, stage: &OperationId) -> Result<()> {
        self.with("promote", key, stage, |root, key, stage| {
            promote(root, &key, stage)
        })
        .await
    }

    async fn discard(&self, key: &Key, stage: &OperationId) -> Result<()> {
        self.with("discard", key, stage, |root, key, stage| {
            discard(root, &key, stage)
        })
        .await
    }
}

/// Opens what was staged for `key`; `None` where there is nothing.
fn open(root: &Root, key: Key, stage: &OperationId) -> Result<Option<Object>, DiskFault> {
    let (above, name) = split(&key);
    let staged = staged_name(stage, name);
    let Some(folder) = present(root.open().and_then(|root| root.beneath(above)))? else {
        return Ok(None);
    };
    let opened = folder.open_file(&staged, &key);
    let Some((file, status)) = present(opened)? else {
        return Ok(None);
    };
    let meta = status.meta(key);
    let len = meta.size;
    Ok(Some(Object {
        meta,
        body: Body::File { file, len },
    }))
}

/// Renames what was staged for `key` over it.
fn promote(root: &Root, key: &str, stage: &OperationId) -> Result<(), DiskFault> {
    let root = root.open()?;
    let (above, name) = split(key);
    let folder = root.beneath(above)?;
    let staged = staged_name(stage, name);
    folder.check_replaceable(name, key)?;
    folder.rename(&staged, &folder, name)?;
    if !HAS_SYNCFS || folder.own_status()?.device != root.status.device {
        folder.sync()?;
    }
    Ok(())
}

/// Removes what was staged for `key`.
fn discard(root: &Root, key: &str, stage: &OperationId) -> Result<(), DiskFault> {
    let (above, name) = split(key);
    let staged = staged_name(stage, name);
    let Some(root) = present(root.open())? else {
        return Ok(());
    };
    let Some(folder) = present(root.beneath(above))? else {
        return Ok(());
    };
    if folder.unlink(&staged)? {
        prune(&root, above);
    }
    Ok(())
}
