//! Setting aside: copies beside the prefix, outside of what the sink lists.

use std::sync::Arc;

use arc_backup_core::{
    Activity, AsideArea, AsideAreas, AsideMode, AsideObject, AsideStore, Error, ErrorKind, Key,
    OperationId, Result,
};
use async_trait::async_trait;
use azure_core::Uuid;
use azure_core::http::{NoFormat, RequestContent};
use azure_storage_blob::models::BlockBlobClientUploadOptions;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::copy::CopyRequest;
use crate::delete::{DELETES, delete};
use crate::error::absent;
use crate::store::{Properties, Store};

/// The metadata of a copy that names the version it is of.
const ORIGIN: &str = "arc_backup_origin";

/// How often a copy is made that the store gives up.
const MAX_ATTEMPTS: u32 = 3;

const OPERATION: &str = "set aside";

/// The place beside a sink's prefix for what restores replace. A sink on a whole container has
/// none.
#[derive(Debug, Clone)]
pub(crate) struct AzureAside {
    store: Arc<Store>,
    /// What all names there begin with.
    place: String,
}

impl AzureAside {
    /// The place beside the store's prefix, where it has one.
    pub(crate) fn new(store: &Arc<Store>) -> Option<Self> {
        let prefix = store.prefix().strip_suffix('/')?;
        Some(Self {
            store: store.clone(),
            place: format!("{prefix}.before-restore/"),
        })
    }

    /// What the names begin with that the operation sets aside.
    fn prefix_of(&self, operation: &OperationId) -> String {
        format!("{}{operation}/", self.place)
    }
}

#[async_trait]
impl AsideStore for AzureAside {
    /// Finds out whether the place can be written and cleared.
    async fn prepare(&self, operation: &OperationId, _bytes: u64) -> Result<()> {
        let (store, place) = (&*self.store, self.prefix_of(operation));
        let name = format!("{place}.arc-backup-probe-{}", Uuid::new_v4());
        let written = store
            .call(OPERATION, &name, |method_options| {
                let blob = store.blob(&name).block_blob_client();
                let options = BlockBlobClientUploadOptions {
                    method_options,
                    ..BlockBlobClientUploadOptions::default()
                };
                let content: RequestContent<Bytes, NoFormat> = Bytes::from_static(b"probe").into();
                async move { blob.upload(content, Some(options)).await.map(drop) }
            })
            .await;
        // One that failed may be there all the same.
        let removed = delete(store, "delete", &name, &name, None).await;
        written.and(removed).map_err(|error| {
            let detail = error.detail().to_owned();
            Error::new(error.kind(), OPERATION, store.location(&place), detail).with_source(error)
        })
    }

    async fn set_aside(&self, key: &Key, operation: &OperationId, mode: AsideMode) -> Result<()> {
        let wanted = format!("{}{key}", self.prefix_of(operation));
        set_aside(&self.store, key, &wanted, mode).await
    }

    async fn look(&self, key: &Key, operation: &OperationId) -> Result<Option<AsideObject>> {
        let (store, name) = (&*self.store, format!("{}{key}", self.prefix_of(operation)));
        let there = store.head(OPERATION, key, &name).await?;
        let Some(there) = there.filter(is_whole) else {
            return Ok(None);
        };
        let live = store.head(OPERATION, key, &store.name(key)).await?;
        let is_live = live.is_some_and(|live| {
            is_whole(&live)
                && (matches!(Found::of(&live, &there), Found::Whole)
                    || matches!(Found::of(&there, &live), Found::Whole))
        });
        Ok(Some(AsideObject {
            size: there.size,
            is_live,
        }))
    }

    async fn put_back(&self, key: &Key, operation: &OperationId) -> Result<()> {
        put_back(
            &self.store,
            key,
            &format!("{}{key}", self.prefix_of(operation)),
        )
        .await
    }

    async fn remove(&self, operation: &OperationId, activity: &Activity) -> Result<()> {
        let (store, place) = (&*self.store, self.prefix_of(operation));
        let mut marker = None;
        loop {
            let (names, next) = crate::list::names_page(store, &place, marker).await?;
            stream::iter(names)
                .map(Ok)
                .try_for_each_concurrent(DELETES, |name| async move {
                    activity.note();
                    delete(store, "delete", &name, &name, None).await
                })
                .await?;
            if next.is_none() {
                return Ok(());
            }
            marker = next;
        }
    }

    async fn list(&self) -> Result<Vec<AsideArea>> {
        let mut areas = AsideAreas::default();
        let mut marker = None;
        loop {
            let (sizes, next) = crate::list::sizes_page(&self.store, &self.place, marker).await?;
            for (name, bytes) in sizes {
                areas.add(name.strip_prefix(&self.place).unwrap_or(&name), bytes);
            }
            if next.is_none() {
                return Ok(areas.into_vec());
            }
            marker = next;
        }
    }

    fn location(&self, operation: &OperationId) -> String {
        self.store.location(&self.prefix_of(operation))
    }
}

/// Copies the object to `wanted`, or to `wanted.1` and so on where that is taken by another.
async fn set_aside(store: &Arc<Store>, key: &Key, wanted: &str, mode: AsideMode) -> Result<()> {
    let name = store.name(key);
    let Some(live) = store.head(OPERATION, key, &name).await? else {
        // Moved there before: an operation that is run again finds its work done.
        let done = mode == AsideMode::Move
            && (store.head(OPERATION, key, wanted).await?).is_some_and(|there| is_whole(&there));
        return if done {
            Ok(())
        } else {
            Err(absent(OPERATION, key))
        };
    };
    let etag = live.stamp.etag.as_deref();
    let mut metadata = live.metadata.clone();
    metadata.insert(ORIGIN.to_owned(), etag.unwrap_or_default().to_owned());
    let container = store.path("");
    let container = container.trim_end_matches('/');
    for number in 0..=9999 {
        let to = match number {
            0 => wanted.to_owned(),
            number => format!("{wanted}.{number}"),
        };
        let copy = CopyRequest {
            operation: OPERATION,
            subject: key,
            from: (container, &name),
            to: &to,
            if_match: etag,
            create_new: true,
            metadata: Some(metadata.clone()),
        };
        if !keep(store, &live, &copy).await? {
            continue;
        }
        if mode == AsideMode::Move {
            delete(store, OPERATION, key, &name, etag).await?;
        }
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::AlreadyExists,
        OPERATION,
        key.as_str(),
        "too many others of this name are aside",
    ))
}

/// Copies what is set aside as `name` to its place.
async fn put_back(store: &Arc<Store>, key: &Key, name: &str) -> Result<()> {
    let there = store.head(OPERATION, key, name).await?;
    let Some(there) = there.filter(is_whole) else {
        return Err(absent("put back", key));
    };
    let etag = there.stamp.etag.as_deref();
    let mut metadata = there.metadata.clone();
    metadata.insert(ORIGIN.to_owned(), etag.unwrap_or_default().to_owned());
    let container = store.path("");
    let copy = CopyRequest {
        operation: "put back",
        subject: key,
        from: (container.trim_end_matches('/'), name),
        to: &store.name(key),
        if_match: etag,
        create_new: false,
        metadata: Some(metadata),
    };
    let mut attempts = 0;
    loop {
        attempts += 1;
        match copy.run(store).await {
            // The store gave this copy up.
            Err(error) if attempts < MAX_ATTEMPTS && error.is_retryable() => {}
            done => return done.map(drop),
        }
    }
}

/// Makes this copy of `live`, or finds it made; returns whether it is there in the end, and whole.
/// It is not where something else is.
async fn keep(store: &Arc<Store>, live: &Properties, copy: &CopyRequest<'_>) -> Result<bool> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        // Looked at first: a copy to where something is would be refused anyway, but not by every
        // store.
        let there = store.head(copy.operation, copy.subject, copy.to).await?;
        let made = match there.map(|there| (Found::of(live, &there), there)) {
            Some((Found::Whole, _)) => return Ok(true),
            Some((Found::Other, _)) => return Ok(false),
            Some((Found::Pending, there)) => copy.finish(store, there.copy_id).await,
            Some((Found::Broken, there)) => {
                let etag = there.stamp.etag.as_deref();
                delete(store, copy.operation, copy.subject, copy.to, etag).await?;
                copy.run(store).await
            }
            None => copy.run(store).await,
        };
        match made {
            Ok(there) if matches!(Found::of(live, &there), Found::Whole) => return Ok(true),
            Ok(_) => {
                return Err(Error::new(
                    ErrorKind::Changed,
                    copy.operation,
                    copy.subject,
                    "what was set aside was replaced while it was copied",
                ));
            }
            // Something is there now: perhaps by a try whose answer was lost. Or the store gave
            // this copy up.
            Err(error)
                if attempts < MAX_ATTEMPTS
                    && (error.is_retryable()
                        || matches!(
                            error.kind(),
                            ErrorKind::AlreadyExists | ErrorKind::Changed
                        )) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What is where a version of a blob is to be kept.
enum Found {
    /// This version, or the same bytes as far as the store's sums show.
    Whole,
    /// A copy of this version that is being made.
    Pending,
    /// A copy of this version that the store gave up.
    Broken,
    Other,
}

impl Found {
    fn of(live: &Properties, there: &Properties) -> Self {
        let origin = there.metadata.get(ORIGIN).map(String::as_str);
        let is_copy = origin.is_some() && origin == live.stamp.etag.as_deref();
        let has_sum = live.md5.is_some() && live.md5 == there.md5;
        // The metadata is there from when a copy begins.
        match there.copy_status.as_deref() {
            None | Some("success") if there.size == live.size && (is_copy || has_sum) => {
                Self::Whole
            }
            Some("pending") if is_copy => Self::Pending,
            Some("failed" | "aborted") if is_copy => Self::Broken,
            _ => Self::Other,
        }
    }
}

/// Whether no copy to there is under way or failed.
fn is_whole(there: &Properties) -> bool {
    matches!(there.copy_status.as_deref(), None | Some("success"))
}
