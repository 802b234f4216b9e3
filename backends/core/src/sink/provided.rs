//! What can be done with any sink, made of what it has.

use futures::{StreamExt, future};

use super::Sink;
use crate::copy::copy_through;
use crate::in_order::InOrder;
use crate::{
    Activity, Child, Discard, Discarded, Durability, Error, ErrorKind, Key, ListOptions, Listed,
    Meta, Result,
};

/// How many objects one deletion has.
const BATCH: usize = 1000;

impl dyn Sink {
    /// Removes everything in `folder`, by [`Folders`](crate::Folders) where the sink has them, else
    /// by listing and deleting. An absent folder is not an error. It may take long: each step is
    /// noted in `activity`.
    ///
    /// # Errors
    /// The first fault; what was removed until then is gone. Calling it again removes the rest.
    pub async fn remove_tree(&self, folder: &Key, activity: &Activity) -> Result<()> {
        if let Some(folders) = self.folders() {
            return folders.remove(folder, activity).await;
        }
        let mut listing = self.list(ListOptions::within(folder));
        let mut batch = Vec::new();
        while let Some(item) = listing.next().await {
            if let Listed::Object(meta) = item? {
                batch.push(meta.key);
            }
            activity.note();
            if batch.len() == BATCH {
                self.delete(&batch).await?;
                batch.clear();
            }
        }
        self.delete(&batch).await
    }

    /// Moves every object in the folder `from` to the same place in the folder `to`, where nothing
    /// is: by [`Folders`](crate::Folders) where the sink has them, else by copying, within the
    /// store where that can be done and as many at once as it takes, and deleting what was copied.
    /// An absent folder is not an error. It may take long: each step is noted in `activity`.
    ///
    /// # Errors
    /// The first fault; each object is at one place at least then, and calling it again moves the
    /// rest.
    pub async fn move_tree(&self, from: &Key, to: &Key, activity: &Activity) -> Result<()> {
        if let Some(folders) = self.folders() {
            return folders.rename(from, to).await;
        }
        let copies = self.list(ListOptions::within(from)).filter_map(|item| {
            future::ready(match item {
                Ok(Listed::Object(meta)) => Some(Ok(meta)),
                Ok(Listed::Other { .. }) => None,
                Err(error) => Some(Err(error)),
            })
        });
        let copies = copies.map(|meta| async move { self.copy_in_tree(meta?, from, to).await });
        let at_once = self.properties().concurrency.unwrap_or(1);
        let mut copied = InOrder::new(copies, at_once);
        let mut batch = Vec::new();
        while let Some(key) = copied.next().await {
            batch.push(key?);
            activity.note();
            if batch.len() == BATCH {
                copied.beside(self.delete(&batch)).await?;
                batch.clear();
            }
        }
        self.delete(&batch).await
    }

    /// Copies the object of `meta` from the folder `from` to the same place in the folder `to`, and
    /// returns its key.
    async fn copy_in_tree(&self, meta: Meta, from: &Key, to: &Key) -> Result<Key> {
        let rest = &meta.key[from.len() + 1..];
        let target = to
            .join(rest)
            .map_err(|e| Error::new(ErrorKind::Invalid, "move", rest, e.to_string()))?;
        if self.duplicate(&meta.key, &target).await?.is_none() {
            copy_through(self, &meta.key, self, &target).await?;
        }
        Ok(meta.key)
    }

    /// Makes `to` an object with the bytes of `from`, which do not pass through this process: by a
    /// [hard link](crate::HardLinks) or a [copy within the store](crate::ServerCopy). Atomic;
    /// replaces what is there. `None` where that can't be done: the caller then reads and writes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when nothing is at `from`.
    pub async fn duplicate(&self, from: &Key, to: &Key) -> Result<Option<Meta>> {
        let made = if let Some(links) = self.hard_links() {
            links.link(from, to).await
        } else if let Some(copies) = self.server_copy() {
            copies.copy_from(&copies.address(from), to).await
        } else {
            return Ok(None);
        };
        match made {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
            made => made.map(Some),
        }
    }

    /// The children of `folder`, as [`list_children`](Sink::list_children) has to give them, by a
    /// short listing for each: for sinks that have nothing but listings in the order of keys.
    ///
    /// # Errors
    /// When the sink can't be listed.
    pub async fn children_by_listing(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        let mut options = folder.map(ListOptions::within).unwrap_or_default();
        let mut children: Vec<Child> = Vec::new();
        while let Some(row) = self.list(options.clone()).next().await.transpose()? {
            let (path, other) = match row {
                Listed::Object(meta) => (meta.key.to_string(), None),
                Listed::Other { path, kind } => (path, Some(kind)),
            };
            let rest = &path[options.prefix.len()..];
            let child = match (rest.split_once('/'), other) {
                (Some((name, _)), _) => Child::Folder(name.to_owned()),
                (None, None) => Child::Object(rest.to_owned()),
                (None, Some(kind)) => Child::Other(rest.to_owned(), kind),
            };
            options.start_after = Some(match &child {
                // The last text there is in that folder, but for names that begin with this
                // character.
                Child::Folder(name) if children.last() != Some(&child) => {
                    format!("{}{name}/{}", options.prefix, char::MAX)
                }
                _ => path,
            });
            if children.last() != Some(&child) {
                children.push(child);
            }
        }
        children.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(children)
    }

    /// Removes, or counts, [unfinished uploads](crate::UnfinishedUploads); finds nothing in a sink
    /// where uploads of crashed processes leave nothing.
    ///
    /// # Errors
    /// When they can't be looked for.
    pub async fn discard_unfinished(
        &self,
        folder: Option<&Key>,
        discard: Discard,
    ) -> Result<Discarded> {
        match self.unfinished_uploads() {
            Some(uploads) => uploads.discard(folder, discard).await,
            None => Ok(Discarded::default()),
        }
    }

    /// Opens the object by which all that is committed after this call can be made durable: that of
    /// [`DeferredDurability`](crate::DeferredDurability), or one with nothing to do where every
    /// commit is durable by itself.
    ///
    /// # Errors
    /// When it can't be opened.
    pub async fn durability(&self) -> Result<Box<dyn Durability>> {
        match self.deferred_durability() {
            Some(deferred) => deferred.open().await,
            None => Ok(Box::new(DurableByItself)),
        }
    }
}

struct DurableByItself;

#[async_trait::async_trait]
impl Durability for DurableByItself {
    async fn sync(&self) -> Result<()> {
        Ok(())
    }
}
