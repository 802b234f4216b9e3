//! A multipart upload, from its first part to its end.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_backup_core::remote::PartSink;
use arc_backup_core::{Error, ErrorKind, Key, Meta, Purpose, Result};
use async_trait::async_trait;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::sync::watch;

use crate::body::with_heartbeat;
use crate::call::Call;
use crate::checksum::{Sum, joined};
use crate::config::S3Checksums;
use crate::error::RequestFault;
use crate::read::head_answer;
use crate::store::{Store, length, nonce, odd_answer, unquoted};
use crate::under_way::UploadUnderWay;
use crate::unfinished;

/// The metadata by which a sink knows its own object again, where the answer to its last request
/// was lost.
pub(crate) const NONCE: &str = "arc-backup-nonce";

/// One upload of one object. It begins with its first part, and not at all where there is none.
pub(crate) struct Multipart {
    store: Arc<Store>,
    key: Key,
    name: String,
    purpose: Purpose,
    nonce: String,
    metadata: HashMap<String, String>,
    content_type: Option<String>,
    begun: Mutex<Option<watch::Receiver<Begin>>>,
    parts: Mutex<BTreeMap<i32, Part>>,
    _entered: UploadUnderWay,
}

/// How far the beginning is. It goes on by itself when the part that asked for it is given up: an
/// upload that the store has begun must be known here, to be ended.
#[derive(Clone)]
enum Begin {
    Pending,
    Begun(String),
    Failed(Arc<Error>),
}

/// A part that has arrived.
pub(crate) struct Part {
    pub(crate) etag: String,
    pub(crate) sum: Option<Sum>,
    pub(crate) len: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Multipart {
    pub(crate) fn new(store: &Arc<Store>, key: &Key, name: String, purpose: Purpose) -> Self {
        Self {
            store: store.clone(),
            key: key.clone(),
            purpose,
            nonce: nonce(),
            metadata: HashMap::new(),
            content_type: None,
            begun: Mutex::new(None),
            parts: Mutex::new(BTreeMap::new()),
            _entered: store.uploads.enter(&name),
            name,
        }
    }

    /// The same, with what the object that it is a copy of has.
    pub(crate) fn like(
        mut self,
        metadata: Option<&HashMap<String, String>>,
        content_type: Option<&str>,
    ) -> Self {
        self.metadata = metadata.cloned().unwrap_or_default();
        self.content_type = content_type.map(str::to_owned);
        self
    }

    pub(crate) fn call(&self) -> Call<'_> {
        Call {
            operation: "write",
            subject: &self.key,
            permission: "s3:PutObject",
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    fn sums(&self) -> bool {
        self.store.config.checksums == S3Checksums::WhenSupported
    }

    /// The upload's id; begins it when nobody has.
    pub(crate) async fn id(self: &Arc<Self>) -> Result<String> {
        let mut begun = lock(&self.begun)
            .get_or_insert_with(|| {
                let (sender, receiver) = watch::channel(Begin::Pending);
                let upload = self.clone();
                tokio::spawn(async move {
                    sender.send_replace(match upload.create().await {
                        Ok(id) => Begin::Begun(id),
                        Err(error) => Begin::Failed(Arc::new(error)),
                    });
                });
                receiver
            })
            .clone();
        let done = begun
            .wait_for(|state| !matches!(state, Begin::Pending))
            .await;
        match done.as_deref() {
            Ok(Begin::Begun(id)) => Ok(id.clone()),
            Ok(Begin::Failed(error)) => Err(Error::new(
                error.kind(),
                error.operation(),
                error.subject(),
                error.detail(),
            )
            .with_source(error.clone())),
            Ok(Begin::Pending) | Err(_) => Err(Error::new(
                ErrorKind::Other,
                "write",
                self.key.as_str(),
                "its upload was broken off",
            )),
        }
    }

    async fn create(&self) -> Result<String> {
        let store = &*self.store;
        let attempts = AtomicU32::new(0);
        let mut metadata = self.metadata.clone();
        metadata.insert(NONCE.to_owned(), self.nonce.clone());
        let answer = store
            .call_for(self.purpose, self.call(), |client, _| {
                attempts.fetch_add(1, Ordering::Relaxed);
                client
                    .create_multipart_upload()
                    .bucket(store.bucket())
                    .key(&self.name)
                    .set_metadata(Some(metadata.clone()))
                    .set_content_type(self.content_type.clone())
                    .set_checksum_algorithm(self.sums().then_some(ChecksumAlgorithm::Crc64Nvme))
                    .set_checksum_type(self.sums().then_some(ChecksumType::FullObject))
                    .send()
            })
            .await;
        let id = answer.and_then(|answer| {
            let id = answer.upload_id().filter(|id| !id.is_empty());
            Ok(id
                .ok_or_else(|| odd_answer(self.call(), "upload id"))?
                .to_owned())
        });
        // A try whose answer was lost may have begun one as well. Where another upload of this name
        // is under way here, which is which is unknown.
        if attempts.into_inner() > 1 && store.uploads.is_alone(&self.name) {
            unfinished::abort_lost(store, &self.key, &self.name, id.as_deref().ok()).await;
        }
        id
    }

    /// Takes note of a part that has arrived; `number` counts from 1.
    pub(crate) fn add(&self, number: i32, part: Part) {
        lock(&self.parts).insert(number, part);
    }

    async fn upload_part(self: &Arc<Self>, number: i32, bytes: Bytes) -> Result<()> {
        let id = self.id().await?;
        let store = &*self.store;
        let sum = Sum::of(&bytes, store.config.checksums);
        let answer = store
            .call_for(self.purpose, self.call(), |client, beat| {
                client
                    .upload_part()
                    .bucket(store.bucket())
                    .key(&self.name)
                    .upload_id(&id)
                    .part_number(number)
                    .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
                    .set_checksum_crc64_nvme(sum.crc64_text())
                    .set_content_md5(sum.md5_text())
                    .body(with_heartbeat(&bytes, beat))
                    .send()
            })
            .await?;
        let etag = answer
            .e_tag()
            .ok_or_else(|| odd_answer(self.call(), "`ETag`"))?;
        let part = Part {
            etag: etag.to_owned(),
            sum: Some(sum),
            len: bytes.len() as u64,
        };
        self.add(number, part);
        Ok(())
    }

    /// Makes the object of the parts.
    pub(crate) async fn complete(self: &Arc<Self>, create_new: bool) -> Result<Meta> {
        let id = self.id().await?;
        let store = &*self.store;
        let (parts, total, whole) = self.list_parts();
        let upload = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let done = store
            .attempt(store.retrier(self.purpose), self.call(), |client, _| {
                let request = client
                    .complete_multipart_upload()
                    .bucket(store.bucket())
                    .key(&self.name)
                    .upload_id(&id)
                    .multipart_upload(upload.clone())
                    .set_if_none_match(create_new.then(|| "*".to_owned()))
                    .set_checksum_crc64_nvme(whole.as_ref().and_then(Sum::crc64_text))
                    .set_checksum_type(whole.is_some().then_some(ChecksumType::FullObject))
                    .set_mpu_object_size(
                        self.sums()
                            .then_some(i64::try_from(total).unwrap_or(i64::MAX)),
                    );
                async {
                    request
                        .send()
                        .await
                        .map_err(|error| RequestFault::of(&error))
                }
            })
            .await;
        match done {
            Ok(answer) => {
                let etag = answer
                    .e_tag()
                    .ok_or_else(|| odd_answer(self.call(), "`ETag`"))?;
                Ok(Store::meta(&self.key, total, Some(etag), None))
            }
            // A store may have made the object of an upload that is gone, or without an answer in
            // time on any try.
            Err((fault, error))
                if error.kind() == ErrorKind::Unavailable
                    || (fault.as_ref())
                        .is_some_and(|fault| fault.is_unmet() || fault.is_no_upload()) =>
            {
                settle(
                    &self.store,
                    self.call(),
                    &self.key,
                    &self.name,
                    &self.nonce,
                    fault,
                    error,
                )
                .await
            }
            Err((_, error)) => Err(error),
        }
    }

    /// The parts in order, how many bytes they are, and the checksum of them all.
    fn list_parts(&self) -> (Vec<CompletedPart>, u64, Option<Sum>) {
        let parts = lock(&self.parts);
        let total = parts.values().map(|part| part.len).sum();
        let sums: Option<Vec<_>> = parts
            .values()
            .map(|part| match part.sum {
                Some(Sum::Crc64(_, crc)) => Some((crc, part.len)),
                _ => None,
            })
            .collect();
        let whole = sums.map(|sums| Sum::crc64(joined(sums.into_iter())));
        let list = parts.iter().map(|(number, part)| {
            CompletedPart::builder()
                .part_number(*number)
                .e_tag(&part.etag)
                .set_checksum_crc64_nvme(part.sum.as_ref().and_then(Sum::crc64_text))
                .build()
        });
        (list.collect(), total, whole)
    }

    /// Ends the upload without an object. Only when no part is on its way any more.
    pub(crate) async fn abort(&self) -> Result<()> {
        let Some(mut begun) = lock(&self.begun).clone() else {
            return Ok(());
        };
        let id = match begun
            .wait_for(|state| !matches!(state, Begin::Pending))
            .await
            .as_deref()
        {
            Ok(Begin::Begun(id)) => id.clone(),
            _ => return Ok(()),
        };
        unfinished::abort(&self.store, &self.key, &self.name, &id).await
    }
}

/// Finds out whether a write that a condition refused, whose upload is gone, or that was never
/// answered, had been done by an earlier try of it.
pub(crate) async fn settle(
    store: &Store,
    call: Call<'_>,
    key: &Key,
    name: &str,
    nonce: &str,
    fault: Option<RequestFault>,
    error: Error,
) -> Result<Meta> {
    let is_unmet = fault.is_some_and(|fault| fault.is_unmet());
    // It may be there again: a look is worth its whole time.
    store.retrier(Purpose::Data).forget_silence();
    let there = match head_answer(store, call, name).await {
        // The first fault is the one to report.
        Err(_) if !is_unmet => return Err(error),
        there => there?,
    };
    if let Some(there) = there {
        let written_by = there.metadata().and_then(|metadata| metadata.get(NONCE));
        if written_by.is_some_and(|by| by == nonce) {
            let size = length(call, there.content_length())?;
            let etag = there.e_tag().map(unquoted);
            return Ok(Store::meta(
                key,
                size,
                etag.as_deref(),
                there.last_modified(),
            ));
        }
    }
    if is_unmet {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            call.operation,
            call.subject,
            "it exists already",
        ));
    }
    Err(error)
}

/// The parts of a [`Multipart`] as [`Parts`](arc_backup_core::remote::Parts) give them.
pub(crate) struct Uploaded(pub(crate) Arc<Multipart>);

#[async_trait]
impl PartSink for Uploaded {
    async fn upload(&self, number: u64, bytes: Bytes) -> Result<()> {
        // There are no more parts than S3 takes.
        let number = i32::try_from(number + 1).unwrap_or(i32::MAX);
        self.0.upload_part(number, bytes).await
    }
}
