//! Locks between processes and hosts: a lease on a blob that holds the text of who has it.
//!
//! The store's clock ends the lease of a holder that died, and no write of ours but the holder's
//! own is let through before. The holder renews it in the background, and asks the store, never
//! its own memory, whether it still has it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_backup_core::{
    Error, ErrorKind, Key, LockGuard, LockOutcome, Result, UNCHECKED_LOCK_LIVES,
};
use async_trait::async_trait;
use azure_core::Uuid;
use azure_core::base64;
use azure_core::http::{Etag, NoFormat, RequestContent};
use azure_storage_blob::models::{
    BlobClientAcquireLeaseOptions, BlobClientBreakLeaseOptions, BlobClientDeleteOptions,
    BlobClientDownloadOptions, BlobClientReleaseLeaseOptions, BlobClientRenewLeaseOptions,
    BlockBlobClientUploadOptions, HttpRange, LeaseState,
};
use bytes::Bytes;
use md5::{Digest as _, Md5};
use tokio::task::AbortHandle;

use crate::store::{Stamp, Store, quoted};
use crate::wire::Extra;

/// How much of the text is read.
const TEXT_BYTES: u64 = 64 << 10;

/// How often a lock is attempted whose blob vanishes between making and leasing it: its holder
/// gives it back just then.
const MAX_ATTEMPTS: u32 = 20;

/// Takes the lock `key`, without waiting for who has it.
pub(crate) async fn lock(store: &Arc<Store>, key: &Key, holder: &str) -> Result<LockOutcome> {
    const OPERATION: &str = "lock";
    // A guard of this process that was dropped a moment ago may not have given its lock back yet.
    store.releases.settle().await;
    let lease = Lease {
        store: store.clone(),
        key: key.clone(),
        name: store.name(key),
        id: Uuid::new_v4().to_string(),
    };
    for _ in 0..MAX_ATTEMPTS {
        match lease.acquire(OPERATION).await {
            Ok(()) => {
                if let Err(error) = lease.write(OPERATION, holder, true).await {
                    let _ = lease.release().await;
                    return Err(error);
                }
                return Ok(LockOutcome::Held(Box::new(AzureLock::new(lease))));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                match lease.write(OPERATION, holder, false).await {
                    // Somebody else made it just now.
                    Err(error) if !is_there(&error) => return Err(error),
                    _ => {}
                }
            }
            Err(error) if error.kind() == ErrorKind::Busy => {
                if let Some(text) = self::holder(store, OPERATION, key).await? {
                    return Ok(LockOutcome::Busy(text));
                }
                // It was given back in between.
            }
            Err(error) => return Err(error),
        }
    }
    Ok(LockOutcome::Busy(String::new()))
}

fn is_there(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AlreadyExists | ErrorKind::Changed | ErrorKind::Busy
    )
}

/// Who holds the lock `key`, by its own text.
pub(crate) async fn holder(
    store: &Store,
    operation: &'static str,
    key: &Key,
) -> Result<Option<String>> {
    let name = store.name(key);
    Ok(read(store, operation, key, &name)
        .await?
        .map(|(text, _)| text))
}

/// Who holds the lock of this name, and the entity tag of the blob that says so; `None` when nobody
/// does.
async fn read(
    store: &Store,
    operation: &'static str,
    key: &Key,
    name: &str,
) -> Result<Option<(String, Option<String>)>> {
    let read = store
        .control_call(operation, key, &Extra::default(), |method_options| {
            let blob = store.blob(name);
            let options = BlobClientDownloadOptions {
                range: Some(HttpRange::new(0, TEXT_BYTES)),
                method_options,
                ..BlobClientDownloadOptions::default()
            };
            async move {
                let answer = blob.download(Some(options)).await?;
                let state = answer.properties.lease_state;
                let etag = Stamp::of(&answer.headers).etag;
                Ok((state, answer.body.collect().await?, etag))
            }
        })
        .await;
    match read {
        Ok((Some(LeaseState::Leased | LeaseState::Breaking), text, etag)) => {
            Ok(Some((String::from_utf8_lossy(&text).into_owned(), etag)))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Frees the lock `key` if its holder gave this text.
///
/// Taking and ending a lease leave the entity tag of the blob as it is, and every holder writes its
/// text: under the condition, only a holder can lose its lease here that took it this moment and
/// has not written yet, and it notices.
pub(crate) async fn free(store: &Store, key: &Key, holder: &str) -> Result<()> {
    const OPERATION: &str = "free the lock";
    let name = store.name(key);
    let Some((text, Some(etag))) = read(store, OPERATION, key, &name).await? else {
        return Ok(());
    };
    if text != holder {
        return Ok(());
    }
    let broken = store
        .control_call(OPERATION, key, &Extra::default(), |method_options| {
            let blob = store.blob(&name);
            let options = BlobClientBreakLeaseOptions {
                break_period: Some(0),
                if_match: Some(quoted(&etag)),
                method_options,
                ..BlobClientBreakLeaseOptions::default()
            };
            async move { blob.break_lease(Some(options)).await.map(drop) }
        })
        .await;
    match broken {
        // It ended by itself, or is another's.
        Err(error) if is_lost(&error) || error.kind() == ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// A lease on a blob.
#[derive(Clone)]
struct Lease {
    store: Arc<Store>,
    key: Key,
    name: String,
    id: String,
}

impl Lease {
    /// Takes the lease. Doing it again with the same id takes nothing from anybody: an answer may
    /// get lost.
    async fn acquire(&self, operation: &'static str) -> Result<()> {
        let seconds = i32::try_from(self.store.lease.as_secs()).unwrap_or(60);
        self.store
            .control_call(operation, &self.key, &Extra::default(), |method_options| {
                let blob = self.store.blob(&self.name);
                let options = BlobClientAcquireLeaseOptions {
                    proposed_lease_id: Some(self.id.clone()),
                    method_options,
                    ..BlobClientAcquireLeaseOptions::default()
                };
                async move { blob.acquire_lease(seconds, Some(options)).await.map(drop) }
            })
            .await
    }

    /// Writes the holder's text: under the lease, or, before there is one, only where nothing is.
    async fn write(&self, operation: &'static str, text: &str, leased: bool) -> Result<()> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let extra = Extra {
            headers: vec![("content-md5", base64::encode(Md5::digest(&bytes)))],
            query: Vec::new(),
        };
        self.store
            .control_call(operation, &self.key, &extra, |method_options| {
                let blob = self.store.blob(&self.name).block_blob_client();
                let options = BlockBlobClientUploadOptions {
                    lease_id: leased.then(|| self.id.clone()),
                    if_none_match: (!leased).then(|| Etag::from("*")),
                    method_options,
                    ..BlockBlobClientUploadOptions::default()
                };
                let content: RequestContent<Bytes, NoFormat> = bytes.clone().into();
                async move { blob.upload(content, Some(options)).await.map(drop) }
            })
            .await
    }

    async fn renew(&self) -> Result<()> {
        let renewed = self
            .store
            .control_call(
                "hold the lock",
                &self.key,
                &Extra::default(),
                |method_options| {
                    let blob = self.store.blob(&self.name);
                    let options = BlobClientRenewLeaseOptions {
                        method_options,
                        ..BlobClientRenewLeaseOptions::default()
                    };
                    let id = self.id.clone();
                    async move { blob.renew_lease(id, Some(options)).await.map(drop) }
                },
            )
            .await;
        match renewed {
            Err(error) if is_lost(&error) => {
                let detail = "it was lost: its lease ran out, and somebody else took or removed it";
                Err(
                    Error::new(ErrorKind::Busy, "hold the lock", &*self.key, detail)
                        .with_source(error),
                )
            }
            done => done,
        }
    }

    /// Gives the lease back, with its blob where that may be deleted.
    async fn release(&self) -> Result<()> {
        const OPERATION: &str = "release";
        let deleted = self
            .store
            .control_call(OPERATION, &self.key, &Extra::default(), |method_options| {
                let blob = self.store.blob(&self.name);
                let options = BlobClientDeleteOptions {
                    lease_id: Some(self.id.clone()),
                    method_options,
                    ..BlobClientDeleteOptions::default()
                };
                async move { blob.delete(Some(options)).await.map(drop) }
            })
            .await;
        let released = match deleted {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.store
                    .control_call(OPERATION, &self.key, &Extra::default(), |method_options| {
                        let blob = self.store.blob(&self.name);
                        let options = BlobClientReleaseLeaseOptions {
                            method_options,
                            ..BlobClientReleaseLeaseOptions::default()
                        };
                        let id = self.id.clone();
                        async move { blob.release_lease(id, Some(options)).await.map(drop) }
                    })
                    .await
            }
            done => done,
        };
        match released {
            // Lost before: there is nothing to give back.
            Err(error) if is_lost(&error) => Ok(()),
            done => done,
        }
    }
}

/// Whether an answer means that the lease is no longer the asker's.
fn is_lost(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Busy | ErrorKind::NotFound | ErrorKind::Changed
    )
}

/// A lock that is held.
struct AzureLock {
    lease: Lease,
    /// When the holder last asked whether it still has the lock.
    checked: Arc<Mutex<Instant>>,
    released: AtomicBool,
    renewing: AbortHandle,
}

impl AzureLock {
    fn new(lease: Lease) -> Self {
        let checked = Arc::new(Mutex::new(Instant::now()));
        let renewing = tokio::spawn(renew_for_ever(lease.clone(), checked.clone()));
        Self {
            lease,
            checked,
            released: AtomicBool::new(false),
            renewing: renewing.abort_handle(),
        }
    }
}

fn moment(of: &Mutex<Instant>) -> MutexGuard<'_, Instant> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn renew_for_ever(lease: Lease, checked: Arc<Mutex<Instant>>) {
    loop {
        tokio::time::sleep(lease.store.renewal).await;
        // A holder that hangs must not keep all others out.
        if moment(&checked).elapsed() > UNCHECKED_LOCK_LIVES {
            continue;
        }
        match lease.renew().await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Busy => {
                tracing::warn!(%error, "a lock was lost");
                return;
            }
            // The network may come back before the lease runs out.
            Err(error) => tracing::warn!(%error, "a lock can't be renewed"),
        }
    }
}

#[async_trait]
impl LockGuard for AzureLock {
    async fn check(&self) -> Result<()> {
        *moment(&self.checked) = Instant::now();
        self.lease.renew().await
    }

    async fn release(&self) -> Result<()> {
        self.renewing.abort();
        if self.released.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let lease = self.lease.clone();
        let releases = &self.lease.store.releases;
        let released = releases.run(async move { lease.release().await });
        released.await.unwrap_or(Ok(()))
    }
}

impl Drop for AzureLock {
    fn drop(&mut self) {
        self.renewing.abort();
        if self.released.swap(true, Ordering::SeqCst) {
            return;
        }
        // Without a runtime the lease runs out by itself.
        let lease = self.lease.clone();
        self.lease.store.releases.spawn(async move {
            if let Err(error) = lease.release().await {
                tracing::warn!(%error, "a lock can't be given back: its lease runs out by itself");
            }
        });
    }
}
