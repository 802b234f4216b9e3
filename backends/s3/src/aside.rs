//! Setting aside: keeping what a restore replaces, beside the prefix, by copies within the store.

use std::sync::Arc;

use arc_backup_core::{
    Activity, AsideArea, AsideAreas, AsideMode, AsideObject, AsideStore, Error, ErrorKind, Key,
    ListOptions, OperationId, Result,
};
use async_trait::async_trait;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use bytes::Bytes;

use crate::call::Call;
use crate::checksum::Sum;
use crate::config::S3Config;
use crate::copy::{CopySource, copy};
use crate::delete::{delete_one, remove_below};
use crate::error::absent;
use crate::list;
use crate::read::head_answer;
use crate::store::{Store, length, nonce, odd_answer, quoted, unquoted};

/// What stands behind the prefix, without its last `/`.
const SUFFIX: &str = ".before-restore/";

/// Versions of one key that are kept, at the most.
const MOST_VERSIONS: u32 = 10_000;

/// How often an object is copied that is written in between.
const MAX_ATTEMPTS: u32 = 5;

fn setting_aside(subject: &str) -> Call<'_> {
    Call {
        operation: "set aside",
        subject,
        permission: "s3:GetObject",
    }
}

/// The place beside a sink's prefix for what restores replace. A sink on a whole bucket has none.
#[derive(Debug, Clone)]
pub(crate) struct S3Aside {
    store: Arc<Store>,
    /// What all names there start with.
    place: String,
}

impl S3Aside {
    /// The place beside the store's prefix, where it has one.
    pub(crate) fn new(store: &Arc<Store>) -> Option<Self> {
        let prefix = store.config.prefix.trim_end_matches('/');
        (!prefix.is_empty()).then(|| Self {
            store: store.clone(),
            place: format!("{prefix}{SUFFIX}"),
        })
    }

    /// What the names start with of all that the operation sets aside.
    fn prefix_of(&self, operation: &OperationId) -> String {
        format!("{}{operation}/", self.place)
    }
}

#[async_trait]
impl AsideStore for S3Aside {
    /// Tries the place with an object that it writes, looks at and deletes.
    async fn prepare(&self, operation: &OperationId, _bytes: u64) -> Result<()> {
        let store = &*self.store;
        let name = format!("{}.arc-backup-probe-{}", self.prefix_of(operation), nonce());
        let subject = store.url(&name);
        let tried = try_place(store, &name, &subject).await;
        // Also after a fault: the store may have done what it said it did not.
        let deleted = delete_one(store, &name, &subject, None).await;
        tried.and(deleted)
    }

    async fn set_aside(&self, key: &Key, operation: &OperationId, mode: AsideMode) -> Result<()> {
        let wanted = format!("{}{key}", self.prefix_of(operation));
        for _ in 0..MAX_ATTEMPTS {
            match set_aside_once(&self.store, key, &wanted, mode).await {
                // It was written in between: what is there now is kept too.
                Err(error) if error.kind() == ErrorKind::Changed => {}
                done => return done,
            }
        }
        Err(changed(key))
    }

    async fn look(&self, key: &Key, operation: &OperationId) -> Result<Option<AsideObject>> {
        let (store, call) = (&*self.store, setting_aside(key));
        let name = format!("{}{key}", self.prefix_of(operation));
        let Some(there) = head_answer(store, call, &name).await? else {
            return Ok(None);
        };
        let live = head_answer(store, call, &store.name(key)).await?;
        Ok(Some(AsideObject {
            size: length(call, there.content_length())?,
            is_live: live.is_some_and(|live| is_same(&live, &there)),
        }))
    }

    async fn put_back(&self, key: &Key, operation: &OperationId) -> Result<()> {
        let store = &self.store;
        let name = format!("{}{key}", self.prefix_of(operation));
        let Some(there) = head_answer(store, setting_aside(key), &name).await? else {
            return Err(absent("put back", key));
        };
        let source = CopySource {
            bucket: store.bucket(),
            name: &name,
        };
        let copied = copy(store, &source, &there, key, store.name(key)).await;
        copied.map(drop)
    }

    async fn remove(&self, operation: &OperationId, activity: &Activity) -> Result<()> {
        remove_below(&self.store, &self.prefix_of(operation), activity).await
    }

    async fn list(&self) -> Result<Vec<AsideArea>> {
        let place = Arc::new(Store::new(S3Config {
            prefix: self.place.clone(),
            ..self.store.config.clone()
        }));
        let mut areas = AsideAreas::default();
        areas
            .add_listing(list::list(place, ListOptions::default()), "")
            .await?;
        Ok(areas.into_vec())
    }

    fn location(&self, operation: &OperationId) -> String {
        self.store.url(&self.prefix_of(operation))
    }
}

async fn try_place(store: &Store, name: &str, subject: &str) -> Result<()> {
    let call = Call {
        permission: "s3:PutObject",
        ..setting_aside(subject)
    };
    let body = Bytes::from_static(b"arc-backup");
    let sum = Sum::of(&body, store.config.checksums);
    store
        .call(call, |client, _| {
            client
                .put_object()
                .bucket(store.bucket())
                .key(name)
                .set_checksum_crc64_nvme(sum.crc64_text())
                .set_content_md5(sum.md5_text())
                .body(body.clone().into())
                .send()
        })
        .await?;
    let there = head_answer(store, setting_aside(subject), name).await?;
    there.map(drop).ok_or_else(|| absent("set aside", subject))
}

fn changed(key: &str) -> Error {
    Error::new(
        ErrorKind::Changed,
        "set aside",
        key,
        "it is written again and again while it is copied",
    )
}

/// Copies the object to `wanted`, or to `wanted.1` and so on where that is taken by another.
async fn set_aside_once(
    store: &Arc<Store>,
    key: &Key,
    wanted: &str,
    mode: AsideMode,
) -> Result<()> {
    let call = setting_aside(key);
    let from = store.name(key);
    let Some(there) = head_answer(store, call, &from).await? else {
        // Moved there before: an operation that is run again finds its work done.
        let done = mode == AsideMode::Move && head_answer(store, call, wanted).await?.is_some();
        return if done {
            Ok(())
        } else {
            Err(absent("set aside", key))
        };
    };
    let source = CopySource {
        bucket: store.bucket(),
        name: &from,
    };
    for number in 0..MOST_VERSIONS {
        let name = match number {
            0 => wanted.to_owned(),
            number => format!("{wanted}.{number}"),
        };
        match head_answer(store, call, &name).await? {
            Some(kept) if !is_same(&kept, &there) => continue,
            Some(_) => {}
            None => {
                copy(store, &source, &there, key, name).await?;
            }
        }
        if mode == AsideMode::Move {
            delete_copied(store, key, &from, &there).await?;
        }
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::AlreadyExists,
        "set aside",
        key.as_str(),
        "too many versions of it are kept already",
    ))
}

/// Deletes the very version of an object that was copied; [`ErrorKind::Changed`] when another is
/// there.
///
/// Stores that know no condition here ignore it as well as refuse it, so that it is looked at first
/// in any case.
async fn delete_copied(
    store: &Store,
    key: &Key,
    name: &str,
    copied: &HeadObjectOutput,
) -> Result<()> {
    let call = setting_aside(key);
    let etag = copied.e_tag().map(unquoted);
    let etag = etag.ok_or_else(|| odd_answer(call, "`ETag`"))?;
    match head_answer(store, call, name).await? {
        None => return Ok(()),
        Some(there) if there.e_tag().map(unquoted).as_ref() != Some(&etag) => {
            return Err(changed(key));
        }
        Some(_) => {}
    }
    match delete_one(store, name, key, Some(quoted(&etag))).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            delete_one(store, name, key, None).await
        }
        done => done,
    }
}

/// Whether two objects have the same bytes, as far as the store says. A copy of an object that was
/// uploaded in parts has an entity tag of its own; its checksum is the same. In doubt they are two,
/// and both are kept.
fn is_same(a: &HeadObjectOutput, b: &HeadObjectOutput) -> bool {
    if a.content_length() != b.content_length() {
        return false;
    }
    let both = |of: fn(&HeadObjectOutput) -> Option<&str>| of(a).is_some() && of(a) == of(b);
    both(HeadObjectOutput::e_tag)
        || both(HeadObjectOutput::checksum_crc64_nvme)
        || both(HeadObjectOutput::checksum_sha256)
}
