//! Writing an object: one request where it is small, a multipart upload where it is not.

use std::sync::Arc;

use arc_backup_core::remote::{Collected, Parts};
use arc_backup_core::{Error, Key, Meta, Purpose, Result, Upload, WriteOptions};
use async_trait::async_trait;
use bytes::Bytes;

use crate::body::with_heartbeat;
use crate::checksum::Sum;
use crate::error::RequestFault;
use crate::multipart::{Multipart, NONCE, Uploaded, settle};
use crate::store::{Store, odd_answer};

pub(crate) struct S3Upload {
    store: Arc<Store>,
    key: Key,
    create_new: bool,
    purpose: Purpose,
    multipart: Arc<Multipart>,
    /// `None` when the upload has ended, well or not.
    parts: Option<Parts>,
}

impl S3Upload {
    pub(crate) async fn begin(
        store: &Arc<Store>,
        key: &Key,
        options: WriteOptions,
    ) -> Result<Self> {
        let multipart = Arc::new(Multipart::new(store, key, store.name(key), options.purpose));
        let uploaded = Arc::new(Uploaded(multipart.clone()));
        let limits = store.part_limits();
        let parts = Parts::new(
            uploaded,
            &limits,
            store.writes(options.purpose),
            options.size_hint,
        )
        .await;
        Ok(Self {
            store: store.clone(),
            key: key.clone(),
            create_new: options.create_new,
            purpose: options.purpose,
            multipart,
            parts: Some(parts),
        })
    }

    /// An error about a part, as one about the object.
    fn named(&self, error: Error) -> Error {
        if error.subject() == self.key.as_str() {
            return error;
        }
        Error::new(error.kind(), "write", self.key.as_str(), error.detail()).with_source(error)
    }

    fn parts(&mut self) -> &mut Parts {
        self.parts
            .as_mut()
            .expect("it is taken by commit, abort and drop only")
    }

    async fn finish(&mut self) -> Result<Meta> {
        let collected = self.parts().finish().await;
        match collected.map_err(|error| self.named(error))? {
            Collected::Small(bytes) => self.put(bytes).await,
            Collected::Parts(_) => self.multipart.complete(self.create_new).await,
        }
    }

    async fn put(&self, bytes: Bytes) -> Result<Meta> {
        let (store, call) = (&*self.store, self.multipart.call());
        let (name, nonce) = (self.multipart.name(), self.multipart.nonce());
        let sum = Sum::of(&bytes, store.config.checksums);
        let done = store
            .attempt(store.retrier(self.purpose), call, |client, beat| {
                let mut request = client
                    .put_object()
                    .bucket(store.bucket())
                    .key(name)
                    .content_length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
                    .set_checksum_crc64_nvme(sum.crc64_text())
                    .set_content_md5(sum.md5_text())
                    .body(with_heartbeat(&bytes, beat));
                if self.create_new {
                    request = request.if_none_match("*").metadata(NONCE, nonce);
                }
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
                let etag = answer.e_tag().ok_or_else(|| odd_answer(call, "`ETag`"))?;
                Ok(Store::meta(&self.key, bytes.len() as u64, Some(etag), None))
            }
            Err((Some(fault), error)) if fault.is_unmet() => {
                settle(store, call, &self.key, name, nonce, Some(fault), error).await
            }
            Err((_, error)) => Err(error),
        }
    }

    /// Ends what was begun.
    async fn end(&mut self) -> Result<()> {
        if let Some(parts) = &mut self.parts {
            parts.stop().await;
        }
        let ended = self.multipart.abort().await;
        // Not before: one that is dropped until then still has it to end.
        self.parts = None;
        ended
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let written = self.parts().write(bytes).await;
        written.map_err(|error| self.named(error))
    }

    async fn commit(mut self: Box<Self>) -> Result<Meta> {
        match self.finish().await {
            Ok(meta) => {
                self.parts = None;
                Ok(meta)
            }
            Err(error) => {
                // The first fault is the one to report.
                if let Err(left) = self.end().await {
                    tracing::warn!(error = %left, key = self.key.as_str(), "an upload is left behind");
                }
                Err(error)
            }
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.end().await
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else {
            return;
        };
        let multipart = self.multipart.clone();
        // Without a runtime nobody aborts it; the next cleanup does.
        self.store.background.spawn(async move {
            parts.stop().await;
            if let Err(error) = multipart.abort().await {
                tracing::warn!(%error, "an upload is left behind");
            }
        });
    }
}
