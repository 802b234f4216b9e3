//! Buckets, objects and unfinished uploads, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use s3s::dto::{ETag, ETagCondition};
use s3s::{S3Result, s3_error};

use crate::ServerOptions;
use crate::blob::Blob;
use crate::checks::{Received, Sum, crc64_text};

pub(crate) struct Store {
    pub(crate) options: ServerOptions,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) buckets: BTreeMap<String, Bucket>,
    /// The bytes that were read of each object, by `bucket/key`.
    pub(crate) reads: BTreeMap<String, u64>,
    uploads_begun: u64,
}

#[derive(Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, Stored>,
    /// The number of old versions of each key, delete markers included.
    pub(crate) old_versions: BTreeMap<String, u64>,
    /// By key and upload id.
    pub(crate) uploads: BTreeMap<(String, String), Unfinished>,
}

#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) blob: Blob,
    pub(crate) etag: String,
    pub(crate) crc64: u64,
    pub(crate) sum: Sum,
    pub(crate) modified: SystemTime,
    pub(crate) metadata: HashMap<String, String>,
    /// The storage class, unless it is the standard class.
    pub(crate) class: Option<&'static str>,
}

pub(crate) struct Unfinished {
    pub(crate) begun: SystemTime,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) parts: BTreeMap<i32, Stored>,
}

impl Stored {
    pub(crate) fn new(received: Received, metadata: HashMap<String, String>) -> Self {
        Self {
            // As with S3, the same bytes have the same entity tag. Its algorithm does not matter.
            etag: format!("{:016x}{:016x}", received.crc64, received.blob.len()),
            blob: received.blob,
            crc64: received.crc64,
            sum: received.sum,
            modified: SystemTime::now(),
            metadata,
            class: None,
        }
    }

    pub(crate) fn of(bytes: Bytes) -> Self {
        let crc64 = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &bytes);
        let received = Received {
            blob: bytes.into(),
            crc64,
            sum: Sum::Crc64(crc64_text(crc64)),
        };
        Self::new(received, HashMap::new())
    }

    /// Whether its storage class can't be read.
    pub(crate) fn is_archived(&self) -> bool {
        matches!(self.class, Some("GLACIER" | "DEEP_ARCHIVE"))
    }

    pub(crate) fn e_tag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }
}

impl Store {
    pub(crate) fn new(options: ServerOptions) -> Self {
        let buckets = options.buckets.iter();
        let buckets = buckets
            .map(|name| (name.clone(), Bucket::default()))
            .collect();
        Self {
            options,
            state: Mutex::new(State {
                buckets,
                reads: BTreeMap::new(),
                uploads_begun: 0,
            }),
        }
    }

    /// The code with which DeleteObjects refuses this key.
    pub(crate) fn refusal_of_delete(&self, key: &str) -> Option<&'static str> {
        let refused = self
            .options
            .undeletable
            .as_ref()
            .is_some_and(|part| key.contains(part.as_str()));
        refused.then_some("AccessDenied")
    }

    /// The version id that a versioned bucket reports for a new version.
    pub(crate) fn version_id(&self) -> Option<String> {
        (self.options.versioned).then(|| format!("{:032x}", fastrand::u128(..)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn bucket(&mut self, name: &str) -> S3Result<&mut Bucket> {
        let known = self.buckets.get_mut(name);
        known.ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    pub(crate) fn upload_id(&mut self) -> String {
        self.uploads_begun += 1;
        format!("upload-{:08}", self.uploads_begun)
    }
}

impl Bucket {
    /// Stores an object. A `versioned` bucket keeps the previous one as an old version.
    pub(crate) fn insert(&mut self, key: String, object: Stored, versioned: bool) {
        if self.objects.contains_key(&key) && versioned {
            *self.old_versions.entry(key.clone()).or_default() += 1;
        }
        self.objects.insert(key, object);
    }

    /// Removes an object. A `versioned` bucket gets a delete marker, also if there was no object.
    pub(crate) fn remove(&mut self, key: &str, versioned: bool) {
        let there = u64::from(self.objects.remove(key).is_some());
        if versioned {
            *self.old_versions.entry(key.to_owned()).or_default() += there + 1;
        }
    }

    pub(crate) fn object(&self, key: &str) -> S3Result<&Stored> {
        let object = self.objects.get(key);
        object.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }

    pub(crate) fn upload(&mut self, key: &str, id: &str) -> S3Result<&mut Unfinished> {
        let upload = self.uploads.get_mut(&(key.to_owned(), id.to_owned()));
        upload.ok_or_else(|| s3_error!(NoSuchUpload, "The specified upload does not exist."))
    }

    /// Whether the conditions of a write hold.
    pub(crate) fn may_write(
        &self,
        key: &str,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<()> {
        let there = self.objects.get(key);
        match (if_match, there) {
            (Some(_), None) => return Err(s3_error!(NoSuchKey)),
            (Some(wanted), Some(there)) if !names(wanted, there) => {
                return Err(s3_error!(PreconditionFailed));
            }
            _ => {}
        }
        match (if_none_match, there) {
            (Some(unwanted), Some(there)) if names(unwanted, there) => {
                Err(s3_error!(PreconditionFailed))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a condition names this object.
pub(crate) fn names(condition: &ETagCondition, object: &Stored) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    }
}
