//! Writing objects: a plain put where one block holds them, else blocks, several at once, and their
//! list at commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_backup_core::remote::{Collected, PartSink, Parts};
use arc_backup_core::{Error, ErrorKind, Key, Meta, Purpose, Result, Upload, WriteOptions};
use async_trait::async_trait;
use azure_core::Uuid;
use azure_core::base64;
use azure_core::http::{Body, Etag, NoFormat, RequestContent, XmlFormat};
use azure_storage_blob::models::{
    BlockBlobClientCommitBlockListOptions, BlockBlobClientGetBlockListOptions,
    BlockBlobClientStageBlockOptions, BlockBlobClientUploadOptions, BlockListType, BlockLookupList,
};
use bytes::{Bytes, BytesMut};
use md5::{Digest as _, Md5};
use std::num::NonZero;

use crate::error::code_of;
use crate::store::{Stamp, Store};
use crate::wire::Extra;

/// An object up to this size takes no share of the budget: many small ones are written at once.
///
/// Larger ones ask for theirs with the first byte beyond it, and not before: who copies from one
/// container to another has its buffers for reading by then, always in this order.
const SMALL_BYTES: usize = 256 << 10;

/// The metadata that proves to a writer that must create that it did.
const UPLOAD: &str = "arc_backup_upload";

/// Bytes of a block's id: the upload's nonce and the block's number.
const NONCE_BYTES: usize = 16;
const ID_BYTES: usize = NONCE_BYTES + 4;

/// An object being written.
pub(crate) struct AzureUpload {
    store: Arc<Store>,
    options: WriteOptions,
    blocks: Arc<Blocks>,
    small: BytesMut,
    parts: Option<Parts>,
}

impl AzureUpload {
    pub(crate) fn new(store: Arc<Store>, key: Key, options: WriteOptions) -> Self {
        let blocks = Blocks {
            name: store.name(&key),
            store: store.clone(),
            key,
            purpose: options.purpose,
            nonce: Uuid::new_v4(),
            id_bytes: AtomicUsize::new(ID_BYTES),
            hashing: tokio::sync::Mutex::default(),
        };
        Self {
            store,
            options,
            blocks: Arc::new(blocks),
            small: BytesMut::new(),
            parts: None,
        }
    }

    /// The buffers of a large object.
    async fn parts(&mut self) -> &mut Parts {
        if self.parts.is_none() {
            let hint = self
                .options
                .size_hint
                .filter(|&size| size > SMALL_BYTES as u64);
            let store = &self.store;
            let parts = Parts::new(
                self.blocks.clone(),
                &store.limits,
                store.writing(self.options.purpose),
                hint,
            )
            .await;
            self.parts = Some(parts);
        }
        self.parts.as_mut().expect("it was just made")
    }
}

#[async_trait]
impl Upload for AzureUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let small = self.store.limits.part_bytes.min(SMALL_BYTES as u64);
        if self.parts.is_none() && (self.small.len() + bytes.len()) as u64 <= small {
            self.small.extend_from_slice(&bytes);
            return Ok(());
        }
        let begun = std::mem::take(&mut self.small).freeze();
        let parts = self.parts().await;
        if !begun.is_empty() {
            parts.write(begun).await?;
        }
        parts.write(bytes).await
    }

    async fn commit(mut self: Box<Self>) -> Result<Meta> {
        let create_new = self.options.create_new;
        let Some(mut parts) = self.parts.take() else {
            let bytes = std::mem::take(&mut self.small).freeze();
            return self.blocks.put(bytes, create_new).await;
        };
        match parts.finish().await? {
            Collected::Small(bytes) => self.blocks.put(bytes, create_new).await,
            Collected::Parts(count) => self.blocks.commit(count, parts.total(), create_new).await,
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        // Azure has no way to remove blocks that are in no list: it drops them after a week.
        if let Some(mut parts) = self.parts.take() {
            parts.stop().await;
        }
        Ok(())
    }
}

/// The blocks of one upload.
struct Blocks {
    store: Arc<Store>,
    key: Key,
    name: String,
    purpose: Purpose,
    nonce: Uuid,
    /// All blocks of a blob have ids of one length, those that another program left behind
    /// included.
    id_bytes: AtomicUsize,
    /// One block is hashed at a time, in their order: the first one is on its way while the others
    /// are hashed, where all at once would leave none before the last is done.
    hashing: tokio::sync::Mutex<()>,
}

#[async_trait]
impl PartSink for Blocks {
    async fn upload(&self, number: u64, bytes: Bytes) -> Result<()> {
        let turn = self.hashing.lock().await;
        let md5 = md5_of(&bytes).await;
        drop(turn);
        let id_bytes = self.id_bytes.load(Ordering::Relaxed);
        let staged = self.stage(number, id_bytes, &bytes, &md5).await;
        match staged {
            Err(error) if code_of(&error) == Some("InvalidBlobOrBlock") => {
                match self.length_of_left_over().await {
                    Ok(Some(length)) if length >= ID_BYTES && length != id_bytes => {
                        self.id_bytes.store(length, Ordering::Relaxed);
                        self.stage(number, length, &bytes, &md5).await
                    }
                    Ok(Some(length)) if length != id_bytes => {
                        Err(self.in_the_way(&format!("{length} bytes long"), error))
                    }
                    Ok(_) => Err(error),
                    Err(unknown) => {
                        tracing::warn!(error = %unknown, "blocks that are in the way can't be listed");
                        Err(self.in_the_way("of a length that can't be read", error))
                    }
                }
            }
            done => done,
        }
    }
}

impl Blocks {
    /// The id of block `number`: the upload's own, so that two writers of one key never mix.
    fn id(&self, number: u64, len: usize) -> Vec<u8> {
        let mut id = self.nonce.as_bytes().to_vec();
        // 50,000 is the most.
        id.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
        id.resize(len, 0);
        id
    }

    async fn stage(&self, number: u64, id_bytes: usize, bytes: &Bytes, md5: &[u8]) -> Result<()> {
        let id = self.id(number, id_bytes);
        self.store
            .call_for(
                self.purpose,
                "write",
                &self.key,
                &Extra::default(),
                |method_options| {
                    let blob = self.store.blob(&self.name).block_blob_client();
                    let options = BlockBlobClientStageBlockOptions {
                        transactional_content_md5: Some(md5.to_vec()),
                        method_options,
                        ..BlockBlobClientStageBlockOptions::default()
                    };
                    let (id, bytes) = (&id, bytes.clone());
                    async move {
                        let len = bytes.len() as u64;
                        blob.stage_block(id, len, bytes.into(), Some(options))
                            .await
                            .map(drop)
                    }
                },
            )
            .await
    }

    /// How long the ids of blocks are that somebody left behind on this blob.
    async fn length_of_left_over(&self) -> Result<Option<usize>> {
        let list = self
            .store
            .call_for(
                self.purpose,
                "write",
                &self.key,
                &Extra::default(),
                |method_options| {
                    let blob = self.store.blob(&self.name).block_blob_client();
                    let options = BlockBlobClientGetBlockListOptions {
                        method_options,
                        ..BlockBlobClientGetBlockListOptions::default()
                    };
                    async move {
                        blob.get_block_list(BlockListType::All, Some(options))
                            .await?
                            .into_model()
                    }
                },
            )
            .await?;
        let blocks = list
            .uncommitted_blocks
            .iter()
            .chain(&list.committed_blocks)
            .flatten();
        Ok(blocks
            .filter_map(|block| block.name.as_ref().map(Vec::len))
            .next())
    }

    /// The error for blocks of another program, with which none of ours can be mixed.
    fn in_the_way(&self, ids: &str, error: Error) -> Error {
        let detail = format!(
            "another program left blocks behind on this blob whose ids are {ids}, and Azure takes no others beside \
             them: it drops them a week after the last was written, or when another tool writes the blob in one request, \
             which may then be deleted: {}",
            error.detail()
        );
        Error::new(error.kind(), "write", &*self.key, detail).with_source(error)
    }

    /// Writes the object in one request.
    async fn put(&self, bytes: Bytes, create_new: bool) -> Result<Meta> {
        let size = bytes.len() as u64;
        let md5 = md5_of(&bytes).await;
        let extra = Extra {
            // The SDK's own parameter is for a sum that the store keeps and does not check.
            headers: vec![("content-md5", base64::encode(&md5))],
            query: Vec::new(),
        };
        let done = self
            .store
            .call_for(self.purpose, "write", &self.key, &extra, |method_options| {
                let blob = self.store.blob(&self.name).block_blob_client();
                let options = BlockBlobClientUploadOptions {
                    if_none_match: create_new.then(|| Etag::from("*")),
                    metadata: self.metadata(create_new),
                    // In one piece.
                    partition_size: NonZero::new(u64::MAX),
                    method_options,
                    ..BlockBlobClientUploadOptions::default()
                };
                let content: RequestContent<Bytes, NoFormat> = bytes.clone().into();
                async move {
                    let answer = blob.upload(content, Some(options)).await?;
                    let etag = answer.etag.as_ref().map(AsRef::as_ref);
                    Ok(Stamp::new(etag, answer.last_modified))
                }
            })
            .await;
        self.settle(done, size, create_new).await
    }

    /// Makes the blocks the object.
    async fn commit(&self, count: u64, size: u64, create_new: bool) -> Result<Meta> {
        let id_bytes = self.id_bytes.load(Ordering::Relaxed);
        let list = BlockLookupList {
            latest: Some((0..count).map(|number| self.id(number, id_bytes)).collect()),
            ..BlockLookupList::default()
        };
        let list = RequestContent::<BlockLookupList, XmlFormat>::try_from(list)
            .map_err(|fault| self.store.fault("write", &self.key, &fault))?;
        let Body::Bytes(list) = Body::from(list) else {
            return Err(Error::new(
                ErrorKind::Other,
                "write",
                &*self.key,
                "a block list that is a stream",
            ));
        };
        let md5 = md5_of(&list).await;
        let done = self
            .store
            .call_for(
                self.purpose,
                "write",
                &self.key,
                &Extra::default(),
                |method_options| {
                    let blob = self.store.blob(&self.name).block_blob_client();
                    let options = BlockBlobClientCommitBlockListOptions {
                        if_none_match: create_new.then(|| Etag::from("*")),
                        metadata: self.metadata(create_new),
                        transactional_content_md5: Some(md5.clone()),
                        blob_content_type: Some("application/octet-stream".to_owned()),
                        method_options,
                        ..BlockBlobClientCommitBlockListOptions::default()
                    };
                    let list: RequestContent<BlockLookupList, XmlFormat> = list.clone().into();
                    async move {
                        let answer = blob.commit_block_list(list, Some(options)).await?;
                        Ok(Stamp::of(answer.headers()))
                    }
                },
            )
            .await;
        self.settle(done, size, create_new).await
    }

    fn metadata(&self, create_new: bool) -> Option<HashMap<String, String>> {
        create_new.then(|| HashMap::from([(UPLOAD.to_owned(), self.nonce.to_string())]))
    }

    /// What became of a commit: one that is refused because something is there already may have
    /// been done by an earlier try whose answer was lost.
    async fn settle(&self, done: Result<Stamp>, size: u64, create_new: bool) -> Result<Meta> {
        let error = match done {
            Ok(stamp) => return Ok(stamp.meta(self.key.clone(), size)),
            Err(error) => error,
        };
        let is_there = matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Changed);
        if create_new && is_there {
            // Without the right to read nobody knows: then it is what the store says.
            let found = match self.store.head("write", &self.key, &self.name).await {
                Err(fault) if fault.kind() == ErrorKind::PermissionDenied => None,
                found => found?,
            };
            let nonce = self.nonce.to_string();
            if let Some(found) = found
                && found.size == size
                && found.metadata.get(UPLOAD) == Some(&nonce)
            {
                return Ok(found.meta(self.key.clone()));
            }
            let detail = "it exists already";
            return Err(
                Error::new(ErrorKind::AlreadyExists, "write", &*self.key, detail)
                    .with_source(error),
            );
        }
        if code_of(&error) == Some("InvalidBlockList") {
            return Err(Error::new(
                ErrorKind::Changed,
                "write",
                &*self.key,
                "somebody else wrote this object at the same time, and Azure then drops the blocks of all others",
            )
            .with_source(error));
        }
        Err(error)
    }
}

/// The MD5 of `bytes`; of many, on a thread made for that.
async fn md5_of(bytes: &Bytes) -> Vec<u8> {
    if bytes.len() < 1 << 20 {
        return Md5::digest(bytes).to_vec();
    }
    let shared = bytes.clone();
    match tokio::task::spawn_blocking(move || Md5::digest(&shared).to_vec()).await {
        Ok(md5) => md5,
        // The runtime is shutting down.
        Err(_) => Md5::digest(bytes).to_vec(),
    }
}
