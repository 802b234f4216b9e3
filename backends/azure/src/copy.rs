//! Copies within the account.

use std::collections::HashMap;
use std::time::Duration;

use arc_backup_core::{Address, Error, ErrorKind, Key, Meta, Result};
use azure_core::http::Etag;
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientStartCopyFromUrlOptions,
    BlobClientStartCopyFromUrlResultHeaders as _,
};

use crate::store::{Properties, Store, quoted};

/// How far apart the store is asked how far a copy is, at first and at the most.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(5);

/// A copy to be made.
pub(crate) struct Copy<'a> {
    pub(crate) operation: &'static str,
    /// The key, for errors.
    pub(crate) subject: &'a str,
    /// Container and name.
    pub(crate) from: (&'a str, &'a str),
    /// The name in the sink's container.
    pub(crate) to: &'a str,
    /// Only of this version.
    pub(crate) if_match: Option<&'a str>,
    /// Only where nothing is.
    pub(crate) create_new: bool,
    /// In place of the source's own.
    pub(crate) metadata: Option<HashMap<String, String>>,
}

/// Copies the object at `from` to `key`.
pub(crate) async fn copy_from(store: &Store, from: &Address, key: &Key) -> Result<Meta> {
    let other = || {
        Error::new(
            ErrorKind::Unsupported,
            "copy to",
            key.as_str(),
            "the source is in another account or is reached by other credentials",
        )
    };
    if from.store != store.identity() {
        return Err(other());
    }
    let from = from.path.split_once('/').ok_or_else(other)?;
    let copy = Copy {
        operation: "copy",
        subject: key,
        from,
        to: &store.name(key),
        if_match: None,
        create_new: false,
        metadata: None,
    };
    match copy.run(store).await {
        // Who may not copy may still read and write.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let detail = error.detail().to_owned();
            Err(
                Error::new(ErrorKind::Unsupported, "copy to", key.as_str(), detail)
                    .with_source(error),
            )
        }
        done => done.map(|properties| properties.meta(key.clone())),
    }
}

impl Copy<'_> {
    /// Makes the copy, and returns when it is whole.
    pub(crate) async fn run(self, store: &Store) -> Result<Properties> {
        let source = store.source_url(self.from.0, self.from.1)?;
        let begun = store
            .call(self.operation, self.subject, |method_options| {
                let blob = store.blob(self.to);
                let options = BlobClientStartCopyFromUrlOptions {
                    source_if_match: self.if_match.map(quoted),
                    if_none_match: self.create_new.then(|| Etag::from("*")),
                    metadata: self.metadata.clone(),
                    method_options,
                    ..BlobClientStartCopyFromUrlOptions::default()
                };
                let source = source.to_string();
                async move {
                    blob.start_copy_from_url(source, Some(options))
                        .await?
                        .copy_id()
                }
            })
            .await;
        let copy_id = match begun {
            Ok(copy_id) => copy_id,
            // A first try began it, and its answer was lost.
            Err(error) if error.kind() == ErrorKind::Busy => None,
            Err(error) => return Err(error),
        };
        self.finish(store, copy_id).await
    }

    /// Waits for the copy: within an account it mostly is done at once.
    async fn finish(&self, store: &Store, copy_id: Option<String>) -> Result<Properties> {
        let mut look = FIRST_LOOK;
        loop {
            let found = store.head(self.operation, self.subject, self.to).await?;
            let wrong = |detail: &str| {
                Error::new(ErrorKind::Unavailable, self.operation, self.subject, detail)
            };
            let found = found.ok_or_else(|| wrong("the copy vanished while it was made"))?;
            if copy_id.is_some() && found.copy_id.is_some() && copy_id != found.copy_id {
                return Err(wrong("another copy replaced it while it was made"));
            }
            match found.copy_status.as_deref() {
                Some("pending") => {
                    tokio::time::sleep(look).await;
                    look = (look * 2).min(LAST_LOOK);
                }
                Some("failed" | "aborted") => {
                    // What is there now is an empty blob.
                    self.clean_up(store, found.stamp.etag.as_deref()).await;
                    return Err(wrong("the store gave the copy up"));
                }
                _ => return Ok(found),
            }
        }
    }

    async fn clean_up(&self, store: &Store, etag: Option<&str>) {
        let removed = delete(store, self.operation, self.subject, self.to, etag).await;
        if let Err(error) = removed {
            tracing::warn!(%error, "a copy that failed can't be removed");
        }
    }
}

/// Deletes the blob `name`, if it still is this version; absent is no error.
pub(crate) async fn delete(
    store: &Store,
    operation: &'static str,
    subject: &str,
    name: &str,
    if_match: Option<&str>,
) -> Result<()> {
    let deleted = store
        .call(operation, subject, |method_options| {
            let blob = store.blob(name);
            let options = BlobClientDeleteOptions {
                if_match: if_match.map(quoted),
                method_options,
                ..BlobClientDeleteOptions::default()
            };
            async move { blob.delete(Some(options)).await.map(drop) }
        })
        .await;
    match deleted {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // What an earlier try deleted, whose answer was lost, does not match either.
        Err(error) if error.kind() == ErrorKind::Changed => {
            match store.head(operation, subject, name).await? {
                Some(_) => Err(error),
                None => Ok(()),
            }
        }
        done => done,
    }
}
