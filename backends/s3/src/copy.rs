//! Copies within the store: no byte of them passes through here.

use std::sync::Arc;

use arc_backup_core::{Address, Error, ErrorKind, Key, Meta, Purpose, Result};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use futures::{StreamExt, TryStreamExt, stream};

use crate::call::Call;
use crate::error::RequestFault;
use crate::multipart::{Multipart, Part};
use crate::store::{Store, length, odd_answer, quoted};

/// How many parts of one object are copied at once.
const PARALLEL: usize = 8;

/// An object in a bucket of the store.
pub(crate) struct CopySource<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) name: &'a str,
}

impl CopySource<'_> {
    /// As the header of a request has it.
    fn header(&self) -> String {
        let mut text = String::new();
        for byte in format!("{}/{}", self.bucket, self.name).bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                    text.push(byte.into());
                }
                byte => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    }
}

fn copying<'a>(store: &Store, source: &CopySource<'_>, subject: &'a str) -> Call<'a> {
    Call {
        operation: "copy to",
        subject,
        // The one that is missing where the bucket is another.
        permission: if source.bucket == store.bucket() {
            "s3:PutObject"
        } else {
            "s3:GetObject on the source and s3:PutObject"
        },
    }
}

/// Copies the object at `from` to `key`.
pub(crate) async fn copy_from(store: &Arc<Store>, from: &Address, key: &Key) -> Result<Meta> {
    let foreign = || {
        Error::new(
            ErrorKind::Unsupported,
            "copy to",
            key.as_str(),
            "what is to be copied is in another store",
        )
    };
    if from.store != address_store(store) {
        return Err(foreign());
    }
    let (bucket, name) = from.path.split_once('/').ok_or_else(foreign)?;
    let source = CopySource { bucket, name };
    let Some(there) = head_source(store, &source, key).await? else {
        return Err(Error::new(
            ErrorKind::NotFound,
            "copy",
            from.path.as_str(),
            "it does not exist",
        ));
    };
    copy(store, &source, &there, key, store.name(key)).await
}

/// What identifies the store for all sinks that can copy from each other: where it is and by whose
/// rights it is asked.
pub(crate) fn address_store(store: &Store) -> String {
    let who = match &store.config.access_key {
        // Enough to distinguish one from another, and nothing that opens anything.
        Some(key) => arc_backup_core::Digest::of(key.as_bytes()).to_string()[..16].to_owned(),
        None => "default credentials".to_owned(),
    };
    format!("s3 {} {who}", store.destination.endpoint)
}

/// The facts of what is to be copied; `None` when it is absent.
pub(crate) async fn head_source(
    store: &Store,
    source: &CopySource<'_>,
    subject: &str,
) -> Result<Option<HeadObjectOutput>> {
    let call = Call {
        permission: "s3:GetObject",
        ..copying(store, source, subject)
    };
    if source.bucket == store.bucket() {
        return crate::read::head_answer(store, call, source.name).await;
    }
    let asked = store
        .attempt(store.retrier(Purpose::Data), call, |client, _| {
            let request = client.head_object().bucket(source.bucket).key(source.name);
            async {
                request
                    .send()
                    .await
                    .map_err(|error| RequestFault::of(&error))
            }
        })
        .await;
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err((Some(fault), _)) if fault.is_absent() => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// Copies `source`, of which `there` is known, to the object that is named `name`.
pub(crate) async fn copy(
    store: &Arc<Store>,
    source: &CopySource<'_>,
    there: &HeadObjectOutput,
    key: &Key,
    name: String,
) -> Result<Meta> {
    let call = copying(store, source, key);
    let len = length(call, there.content_length())?;
    if len > store.config.copy_part_bytes {
        return copy_parts(store, source, there, key, name).await;
    }
    let done = store
        .attempt(store.retrier(Purpose::Data), call, |client, _| {
            let request = client
                .copy_object()
                .bucket(store.bucket())
                .key(&name)
                .copy_source(source.header())
                .set_copy_source_if_match(there.e_tag().map(same));
            async {
                request
                    .send()
                    .await
                    .map_err(|error| RequestFault::of(&error))
            }
        })
        .await;
    let answer = match done {
        Ok(answer) => answer,
        Err((_, error)) => return Err(unable(error)),
    };
    let result = answer.copy_object_result();
    let result = result.ok_or_else(|| odd_answer(call, "result"))?;
    Ok(Store::meta(
        key,
        len,
        result.e_tag(),
        result.last_modified(),
    ))
}

/// The condition that what is copied is still what was looked at.
fn same(etag: &str) -> String {
    quoted(&crate::store::unquoted(etag))
}

/// Where the store or the rights do not let it, the bytes can still be read and written.
fn unable(error: Error) -> Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    Error::new(
        ErrorKind::Unsupported,
        error.operation(),
        error.subject(),
        error.detail(),
    )
    .with_source(error)
}

async fn copy_parts(
    store: &Arc<Store>,
    source: &CopySource<'_>,
    there: &HeadObjectOutput,
    key: &Key,
    name: String,
) -> Result<Meta> {
    let upload = Multipart::new(store, key, name, Purpose::Data)
        .like(there.metadata(), there.content_type());
    let upload = Arc::new(upload);
    let mut guard = AbortOnDrop {
        store: store.clone(),
        upload: Some(upload.clone()),
    };
    let done = async {
        copy_each(store, source, there, &upload).await?;
        upload.complete(false).await
    }
    .await;
    if done.is_err() {
        end(&upload).await;
    }
    guard.upload = None;
    done.map_err(unable)
}

/// Ends an upload that nobody waits for any more.
struct AbortOnDrop {
    store: Arc<Store>,
    upload: Option<Arc<Multipart>>,
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        // Without a runtime nobody aborts it; the next cleanup does.
        if let Some(upload) = self.upload.take() {
            (self.store.background).spawn(async move { end(&upload).await });
        }
    }
}

async fn end(upload: &Multipart) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(%error, key = upload.call().subject, "an upload is left behind");
    }
}

async fn copy_each(
    store: &Store,
    source: &CopySource<'_>,
    there: &HeadObjectOutput,
    upload: &Arc<Multipart>,
) -> Result<()> {
    let id = upload.id().await?;
    let call = copying(store, source, upload.call().subject);
    let whole = length(call, there.content_length())?;
    let mut limits = store.part_limits();
    limits.part_bytes = store.config.copy_part_bytes;
    let step = limits.part_bytes_for(Some(whole));
    stream::iter(0..whole.div_ceil(step))
        .map(|index| {
            let (start, end) = (index * step, whole.min((index + 1) * step));
            let number = i32::try_from(index + 1).unwrap_or(i32::MAX);
            let id = &id;
            async move {
                let answer = store
                    .call(call, |client, _| {
                        client
                            .upload_part_copy()
                            .bucket(store.bucket())
                            .key(upload.name())
                            .upload_id(id)
                            .part_number(number)
                            .copy_source(source.header())
                            .copy_source_range(format!("bytes={start}-{}", end - 1))
                            .set_copy_source_if_match(there.e_tag().map(same))
                            .send()
                    })
                    .await?;
                let etag = answer.copy_part_result().and_then(|part| part.e_tag());
                let part = Part {
                    etag: etag.ok_or_else(|| odd_answer(call, "`ETag`"))?.to_owned(),
                    sum: None,
                    len: end - start,
                };
                upload.add(number, part);
                Ok(())
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await
}
