//! Copies within the account.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::{Address, Error, ErrorKind, Key, Meta, Result};
use azure_core::http::Etag;
use azure_storage_blob::models::{
    BlobClientAbortCopyOptions, BlobClientStartCopyFromUrlOptions,
    BlobClientStartCopyFromUrlResultHeaders as _,
};
use tokio::time::Instant;

use crate::delete::delete;
use crate::store::{Properties, Store, quoted};

/// How far apart the store is asked how far a copy is, at first and at the most.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(5);

/// A copy to be made.
pub(crate) struct CopyRequest<'a> {
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
pub(crate) async fn copy_from(store: &Arc<Store>, from: &Address, key: &Key) -> Result<Meta> {
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
    let copy = CopyRequest {
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

impl CopyRequest<'_> {
    /// Makes the copy, and returns when it is whole.
    ///
    /// # Errors
    /// One that is retryable says that the store gave this copy up: another may go well.
    pub(crate) async fn run(&self, store: &Arc<Store>) -> Result<Properties> {
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

    /// Waits for the copy: within an account it mostly is done at once. One that makes no progress
    /// for as long as silence is borne is aborted, and so is one that nobody waits for any more.
    pub(crate) async fn finish(
        &self,
        store: &Arc<Store>,
        mut copy_id: Option<String>,
    ) -> Result<Properties> {
        let silence = store.retry_policy().silence;
        let wrong =
            |detail: &str| Error::new(ErrorKind::Unavailable, self.operation, self.subject, detail);
        let mut guard = None;
        let mut look = FIRST_LOOK.min(silence);
        let mut moved = (None, Instant::now());
        loop {
            let found = store.head(self.operation, self.subject, self.to).await?;
            let found = found.ok_or_else(|| wrong("the copy vanished while it was made"))?;
            if copy_id.is_some() && found.copy_id.is_some() && copy_id != found.copy_id {
                return Err(wrong("another copy replaced it while it was made"));
            }
            if copy_id.is_none() {
                copy_id.clone_from(&found.copy_id);
            }
            match found.copy_status.as_deref() {
                Some("pending") => {
                    if guard.is_none() {
                        guard = copy_id.clone().map(|id| self.under_way(store, id));
                    }
                    if moved.0 != found.copy_progress {
                        moved = (found.copy_progress, Instant::now());
                    }
                    if moved.1.elapsed() >= silence {
                        // It may have ended just now.
                        if let Some(guard) = &mut guard
                            && let Some(found) = guard.abort().await
                        {
                            return Ok(found);
                        }
                        let silence = silence.as_secs_f32();
                        return Err(wrong(&format!(
                            "the store copies it without progress for {silence} s"
                        )));
                    }
                    tokio::time::sleep(look).await;
                    look = (look * 2).min(LAST_LOOK).min(silence);
                }
                Some("failed" | "aborted") => {
                    disarm(guard);
                    // What is there now is an empty blob.
                    let removed = delete(
                        store,
                        self.operation,
                        self.subject,
                        self.to,
                        found.stamp.etag.as_deref(),
                    );
                    if let Err(error) = removed.await {
                        tracing::warn!(%error, "a copy that failed can't be removed");
                    }
                    return Err(wrong("the store gave the copy up").retryable());
                }
                _ => {
                    disarm(guard);
                    return Ok(found);
                }
            }
        }
    }

    fn under_way(&self, store: &Arc<Store>, id: String) -> UnderWay {
        UnderWay(Some(StartedCopy {
            store: store.clone(),
            operation: self.operation,
            subject: self.subject.to_owned(),
            name: self.to.to_owned(),
            id,
        }))
    }
}

/// A copy that the store makes.
struct StartedCopy {
    store: Arc<Store>,
    operation: &'static str,
    subject: String,
    name: String,
    id: String,
}

impl StartedCopy {
    /// Aborts the copy, and removes the empty blob that this leaves. Gives what is there where it
    /// was whole before.
    async fn abort(&self) -> Result<Option<Properties>> {
        let (store, operation) = (&self.store, self.operation);
        let aborted = store
            .call(operation, &self.subject, |method_options| {
                let blob = store.blob(&self.name);
                let options = BlobClientAbortCopyOptions {
                    method_options,
                    ..BlobClientAbortCopyOptions::default()
                };
                async move { blob.abort_copy(&self.id, Some(options)).await.map(drop) }
            })
            .await;
        // One that has ended can't be aborted: what is there shows how.
        let found = store.head(operation, &self.subject, &self.name).await?;
        let found = found.filter(|found| found.copy_id.as_ref() == Some(&self.id));
        let Some(found) = found else {
            return Ok(None);
        };
        match found.copy_status.as_deref() {
            Some("success") => Ok(Some(found)),
            Some("failed" | "aborted") => {
                let etag = found.stamp.etag.as_deref();
                delete(store, operation, &self.subject, &self.name, etag).await?;
                Ok(None)
            }
            _ => aborted.map(|()| None),
        }
    }
}

/// Aborts a copy when it is dropped: who no longer waits for it must not find it later.
struct UnderWay(Option<StartedCopy>);

impl UnderWay {
    async fn abort(&mut self) -> Option<Properties> {
        // Kept until it is done: this may be dropped before.
        let aborted = self.0.as_ref()?.abort().await;
        self.0 = None;
        aborted.unwrap_or_else(|error| {
            tracing::warn!(%error, "a copy can't be aborted");
            None
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Without a runtime the store goes on with it.
        if let Some(begun) = self.0.take() {
            let store = begun.store.clone();
            store.background.spawn(async move {
                if let Err(error) = begun.abort().await {
                    tracing::warn!(%error, "a copy can't be aborted");
                }
            });
        }
    }
}

/// Lets go of a copy that has ended by itself.
fn disarm(guard: Option<UnderWay>) {
    if let Some(mut guard) = guard {
        guard.0 = None;
    }
}
