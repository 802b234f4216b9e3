//! Where a restore keeps the files that it replaces.
//!
//! Beside the storage, where it supports that: a folder beside the root on local disk, a prefix
//! beside the prefix on S3 and Azure. Else in the target that holds the backup.

use std::sync::Arc;

use arc_backup_core::{
    Activity, AsideMode, Error, ErrorKind, Key, Result, Sink, WriteOptions, copy_object,
};

/// The files that one operation sets aside, in a folder with its name.
#[derive(Debug, Clone)]
pub(super) struct Aside {
    storage: Arc<dyn Sink>,
    area: String,
    target: Option<(Arc<dyn Sink>, Key)>,
    activity: Activity,
}

impl Aside {
    pub(super) fn new(
        storage: Arc<dyn Sink>,
        area: impl Into<String>,
        target: Option<(Arc<dyn Sink>, Key)>,
        activity: &Activity,
    ) -> Self {
        let area = area.into();
        let target = target
            .filter(|_| !storage.capabilities().aside)
            .map(|(sink, above)| {
                (
                    sink,
                    above.join(&area).expect("an operation's id is a name"),
                )
            });
        Self {
            storage,
            area,
            target,
            activity: activity.clone(),
        }
    }

    /// Makes sure, before anything changes, that `bytes` can be set aside.
    pub(super) async fn prepare(&self, bytes: u64) -> Result<()> {
        let Some((target, folder)) = &self.target else {
            return self.storage.prepare_aside(&self.area, bytes).await;
        };
        let probe = join(folder, "probe")?;
        let outcome = async {
            let upload = target.begin(&probe, WriteOptions::default()).await?;
            upload.commit().await?;
            target.delete(std::slice::from_ref(&probe)).await
        };
        outcome.await.map_err(|error| {
            Error::new(
                error.kind(),
                "set aside in",
                target.location(),
                error.detail().to_owned(),
            )
            .with_source(error)
        })
    }

    /// Keeps `key`; fails with [`ErrorKind::NotFound`] when it is absent.
    pub(super) async fn keep(&self, key: &Key, mode: AsideMode) -> Result<()> {
        let Some((target, folder)) = &self.target else {
            return self.storage.set_aside(key, &self.area, mode).await;
        };
        let to = join(folder, key)?;
        copy_object(&*self.storage, key, &**target, &to).await?;
        if mode == AsideMode::Move {
            self.storage.delete(std::slice::from_ref(key)).await?;
        }
        Ok(())
    }

    /// Removes all files that were set aside.
    pub(super) async fn remove(&self) -> Result<()> {
        let removed = match &self.target {
            Some((target, folder)) => target.remove_tree(folder, &self.activity).await,
            None => self.storage.remove_aside(&self.area, &self.activity).await,
        };
        match removed {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            removed => removed,
        }
    }

    /// Whether the folder is known to be absent, which only local disk shows.
    pub(super) fn is_absent(&self) -> bool {
        let is_local = |sink: &Arc<dyn Sink>| sink.capabilities().local_root.is_some();
        is_local(self.target.as_ref().map_or(&self.storage, |(sink, _)| sink))
            && (self.location()).is_some_and(|path| !std::path::Path::new(&path).exists())
    }

    /// Where it is, for people.
    pub(super) fn location(&self) -> Option<String> {
        match &self.target {
            Some((target, folder)) => Some(match target.capabilities().local_root {
                Some(root) => root.join(folder.as_str()).display().to_string(),
                None => format!("{folder}/ in {}", target.location()),
            }),
            None => self.storage.aside_location(&self.area),
        }
    }
}

fn join(folder: &Key, rest: &str) -> Result<Key> {
    folder
        .join(rest)
        .map_err(|e| Error::new(ErrorKind::Invalid, "set aside", rest, e.to_string()))
}
