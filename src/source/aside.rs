//! Where a restore keeps the files that it replaces.
//!
//! Beside the storage, where it supports that: a folder beside the root on local disk, a prefix
//! beside the prefix on S3 and Azure. Else in the target that holds the backup.

use std::sync::Arc;

use arc_backup_core::{
    Activity, AsideMode, AsideObject, Error, ErrorKind, Key, OperationId, Result, Sink,
    WriteOptions, copy_object,
};
use tokio_util::sync::CancellationToken;

use super::live;

/// The files that one operation sets aside, in a folder with its name.
#[derive(Debug, Clone)]
pub(crate) struct Aside {
    storage: Arc<dyn Sink>,
    operation: OperationId,
    target: Option<(Arc<dyn Sink>, Key)>,
    activity: Activity,
}

impl Aside {
    pub(crate) fn new(
        storage: Arc<dyn Sink>,
        operation: &OperationId,
        target: Option<(Arc<dyn Sink>, Key)>,
        activity: &Activity,
    ) -> Self {
        let target = target
            .filter(|_| storage.aside().is_none())
            .map(|(sink, above)| {
                (
                    sink,
                    above.join(operation).expect("an operation's id is a name"),
                )
            });
        Self {
            storage,
            operation: operation.clone(),
            target,
            activity: activity.clone(),
        }
    }

    /// The same in a folder of its own, where it is in the target: another storage may set aside
    /// the same keys. It is beside the folder of the operation and not in it, as that is removed
    /// when the other storage has no use for it.
    pub(crate) fn in_folder_beside(mut self, suffix: &str) -> Self {
        if let Some((_, folder)) = &mut self.target {
            let beside = Key::parse(&format!("{folder}{suffix}"));
            *folder = beside.expect("an operation's id with a suffix is a name");
        }
        self
    }

    /// Makes sure, before anything changes, that `bytes` can be set aside.
    pub(crate) async fn prepare(&self, bytes: u64) -> Result<()> {
        let Some((target, folder)) = &self.target else {
            return match self.storage.aside() {
                Some(aside) => aside.prepare(&self.operation, bytes).await,
                None => Ok(()),
            };
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
    pub(crate) async fn keep(&self, key: &Key, mode: AsideMode) -> Result<()> {
        let Some((target, folder)) = &self.target else {
            let Some(aside) = self.storage.aside() else {
                let text = "there is no place to set it aside";
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "set aside",
                    key.as_str(),
                    text,
                ));
            };
            return aside.set_aside(key, &self.operation, mode).await;
        };
        let to = join(folder, key)?;
        copy_object(&*self.storage, key, &**target, &to).await?;
        if mode == AsideMode::Move {
            self.storage.delete(std::slice::from_ref(key)).await?;
        }
        Ok(())
    }

    /// What was set aside at `key`, and whether that is live again; `None` where nothing was.
    pub(crate) async fn look(&self, key: &Key) -> Result<Option<AsideObject>> {
        let Some((target, folder)) = &self.target else {
            return match self.storage.aside() {
                Some(aside) => aside.look(key, &self.operation).await,
                None => Ok(None),
            };
        };
        let kept = join(folder, key)?;
        let Some(there) = target.head(&kept).await? else {
            return Ok(None);
        };
        let live = (self.storage.head(key).await?).filter(|live| live.size == there.size);
        let is_live = match live {
            Some(_) => {
                let cancel = CancellationToken::new();
                let of = async |sink: &dyn Sink, key: &Key| {
                    live::digest(sink, key, &cancel, &self.activity).await
                };
                let live = of(&*self.storage, key).await?;
                live.is_some() && live == of(&**target, &kept).await?
            }
            None => false,
        };
        Ok(Some(AsideObject {
            size: there.size,
            is_live,
        }))
    }

    /// Puts what was set aside at `key` in its place. It stays set aside too.
    pub(crate) async fn put_back(&self, key: &Key) -> Result<()> {
        match (&self.target, self.storage.aside()) {
            (Some((target, folder)), _) => {
                copy_object(&**target, &join(folder, key)?, &*self.storage, key).await
            }
            (None, Some(aside)) => aside.put_back(key, &self.operation).await,
            (None, None) => Err(Error::new(
                ErrorKind::NotFound,
                "put back",
                key.as_str(),
                "nothing is set aside",
            )),
        }
    }

    /// Removes all files that were set aside.
    pub(crate) async fn remove(&self) -> Result<()> {
        match (&self.target, self.storage.aside()) {
            (Some((target, folder)), _) => target.remove_tree(folder, &self.activity).await,
            (None, Some(aside)) => aside.remove(&self.operation, &self.activity).await,
            (None, None) => Ok(()),
        }
    }

    /// Whether the folder is known to be absent, which only local disk shows.
    pub(crate) fn is_absent(&self) -> bool {
        let is_local = |sink: &Arc<dyn Sink>| sink.properties().local_path.is_some();
        is_local(self.target.as_ref().map_or(&self.storage, |(sink, _)| sink))
            && (self.location()).is_some_and(|path| !std::path::Path::new(&path).exists())
    }

    /// Where it is, for people.
    pub(crate) fn location(&self) -> Option<String> {
        match &self.target {
            Some((target, folder)) => Some(match target.properties().local_path {
                Some(root) => root.join(folder.as_str()).display().to_string(),
                None => format!("{folder}/ in {}", target.location()),
            }),
            None => (self.storage.aside()).map(|aside| aside.location(&self.operation)),
        }
    }
}

fn join(folder: &Key, rest: &str) -> Result<Key> {
    folder
        .join(rest)
        .map_err(|e| Error::new(ErrorKind::Invalid, "set aside", rest, e.to_string()))
}
