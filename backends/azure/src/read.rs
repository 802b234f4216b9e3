//! Reading objects: ranges that are small enough for the store to give their MD5, each checked
//! before a byte of it is handed on, unless whoever reads has a digest of the whole: an MD5 costs
//! more than all else that is done for a byte.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arc_backup_core::remote::{RangeReader, Reservation, read_ranges};
use arc_backup_core::{Body, ByteStream, Error, ErrorKind, GetOptions, Key, Object, Result};
use async_trait::async_trait;
use azure_core::base64;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::{AsyncResponseBody, ClientMethodOptions};
use azure_storage_blob::models::{BlobClientDownloadOptions, BlobClientDownloadResult, HttpRange};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use md5::{Digest as _, Md5};
use std::num::NonZero;

use crate::error::{absent, changed};
use crate::store::{Stamp, Store, quoted};

/// How often a body that waits for room says that it lives: well below what silence is borne.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Opens the object `key`.
pub(crate) async fn get(store: &Arc<Store>, key: &Key, options: GetOptions) -> Result<Object> {
    let wanted = options.range.clone().unwrap_or(0..u64::MAX);
    if wanted.is_empty() {
        return nothing_of(store, key, &options).await;
    }
    let name = store.name(key);
    let first = wanted.start
        ..wanted
            .end
            .min(wanted.start.saturating_add(store.range_bytes()));
    let with_md5 = !options.reader_checks;
    let answer = store
        .call("read", key, |method_options| {
            download(
                store,
                &name,
                first.clone(),
                options.if_match.as_deref(),
                with_md5,
                method_options,
            )
        })
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return refused(store, key, &options, error).await,
    };
    let stamp = Stamp::of(&answer.headers);
    let size = whole_size(&answer.headers);
    let meta = stamp.meta(key.clone(), size);
    let range = wanted.start.min(size)..wanted.end.min(size);
    let first = first.start.min(size)..first.end.min(size);
    let check = Check::of(&answer.headers, key, first.end - first.start, with_md5);
    // One that is read in several ranges has its buffers from there.
    let reserves = range.end - range.start <= store.range_bytes();
    let body = checked(answer.body, check, reserves, store.clone());
    let reader = Arc::new(Version {
        store: store.clone(),
        name,
        key: key.clone(),
        etag: stamp.etag,
        with_md5,
        reserves,
    });
    let body = read_ranges(reader, store.read_plan(key), range, Some(body));
    Ok(Object {
        meta,
        body: Body::Stream(body),
    })
}

/// What an answer is that is not a success: an empty range is none to the store.
async fn refused(store: &Store, key: &Key, options: &GetOptions, error: Error) -> Result<Object> {
    let past_the_end = crate::error::code_of(&error) == Some("InvalidRange");
    // A missing blob does not match either, says a store, and it is right.
    if past_the_end || error.kind() == ErrorKind::Changed {
        return nothing_of(store, key, options).await.and_then(|object| {
            if past_the_end {
                Ok(object)
            } else {
                Err(changed("read", key))
            }
        });
    }
    Err(error)
}

/// The object with no bytes of it.
async fn nothing_of(store: &Store, key: &Key, options: &GetOptions) -> Result<Object> {
    let properties = store.head("read", key, &store.name(key)).await?;
    let properties = properties.ok_or_else(|| absent("read", key))?;
    let meta = properties.meta(key.clone());
    let expected = options
        .if_match
        .as_deref()
        .map(|etag| etag.trim_matches('"'));
    if expected.is_some() && expected != meta.etag.as_deref() {
        return Err(changed("read", key));
    }
    Ok(Object {
        meta,
        body: Body::from_bytes(Bytes::new()),
    })
}

/// Asks for a range, once.
async fn download(
    store: &Store,
    name: &str,
    range: Range<u64>,
    if_match: Option<&str>,
    with_md5: bool,
    method_options: ClientMethodOptions<'static>,
) -> azure_core::Result<BlobClientDownloadResult> {
    let options = BlobClientDownloadOptions {
        range: Some(HttpRange::from(range)),
        range_get_content_md5: with_md5.then_some(true),
        if_match: if_match.map(quoted),
        // The SDK's own splitting into ranges is switched off.
        partition_size: NonZero::new(usize::MAX),
        parallel: NonZero::new(1),
        method_options,
        ..BlobClientDownloadOptions::default()
    };
    store.blob(name).download(Some(options)).await
}

/// The size of the whole object: the end of `Content-Range: bytes 0-9/1234`, or else the body is
/// the whole.
fn whole_size(headers: &Headers) -> u64 {
    let text = |name| headers.get_optional_str(&HeaderName::from_static(name));
    let ranged = text("content-range").and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    let plain = || text("content-length").and_then(|length| length.parse().ok());
    ranged.or_else(plain).unwrap_or(0)
}

/// One version of an object.
struct Version {
    store: Arc<Store>,
    name: String,
    key: Key,
    etag: Option<String>,
    /// Whether each range is checked by its MD5.
    with_md5: bool,
    /// Whether each range asks for its buffer by itself.
    reserves: bool,
}

#[async_trait]
impl RangeReader for Version {
    async fn open(&self, range: Range<u64>) -> Result<ByteStream> {
        let len = range.end - range.start;
        let options = ClientMethodOptions::default();
        let answer = download(
            &self.store,
            &self.name,
            range,
            self.etag.as_deref(),
            self.with_md5,
            options,
        )
        .await
        .map_err(|fault| self.store.fault("read", &self.key, &fault))?;
        let check = Check::of(&answer.headers, &self.key, len, self.with_md5);
        Ok(checked(
            answer.body,
            check,
            self.reserves,
            self.store.clone(),
        ))
    }
}

/// What a body has to be.
struct Check {
    key: Key,
    len: u64,
    md5: Option<Vec<u8>>,
}

impl Check {
    fn of(headers: &Headers, key: &Key, len: u64, with_md5: bool) -> Self {
        let name = HeaderName::from_static("content-md5");
        // A store may give one without being asked.
        let text = with_md5.then(|| headers.get_optional_str(&name)).flatten();
        Self {
            key: key.clone(),
            len,
            md5: text.and_then(|text| base64::decode(text).ok()),
        }
    }
}

/// A body that is being collected: its pieces are held back until all are there and right.
struct Collecting {
    body: AsyncResponseBody,
    check: Check,
    hasher: Md5,
    pieces: Vec<Bytes>,
    len: u64,
    waiting: Option<BoxFuture<'static, Reservation>>,
    reservation: Option<Reservation>,
    store: Arc<Store>,
}

/// The body of an answer, checked. While it is being collected it gives empty pieces, as signs of
/// life.
fn checked(body: AsyncResponseBody, check: Check, reserves: bool, store: Arc<Store>) -> ByteStream {
    // Room is asked for by who reads, not by who opens: a turn for a request must not wait for it.
    let (budget, len) = (store.reading().clone(), check.len);
    let waiting = reserves.then(|| async move { budget.reserve(len).await }.boxed());
    let state = Collecting {
        body,
        check,
        hasher: Md5::new(),
        pieces: Vec::new(),
        len: 0,
        waiting,
        reservation: None,
        store,
    };
    stream::unfold(Some(state), |state| async move {
        let mut state = state?;
        match state.step().await {
            Ok(true) => Some((stream::iter([Ok(Bytes::new())]).boxed(), Some(state))),
            Ok(false) => {
                let held = state.reservation.take();
                let pieces = stream::iter(state.pieces).map(move |piece| {
                    // Given back with the last piece.
                    let _held = &held;
                    Ok(piece)
                });
                Some((pieces.boxed(), None))
            }
            Err(error) => Some((stream::iter([Err(error)]).boxed(), None)),
        }
    })
    .flatten()
    .boxed()
}

impl Collecting {
    /// Takes in one piece, when there is room for all. Returns whether more is to come.
    async fn step(&mut self) -> Result<bool> {
        if let Some(waiting) = &mut self.waiting {
            let Ok(reservation) = tokio::time::timeout(SIGN_OF_LIFE, waiting).await else {
                // Waiting for room is not silence of the store's.
                return Ok(true);
            };
            self.waiting = None;
            self.reservation = Some(reservation);
            return Ok(true);
        }
        let Some(piece) = self.body.next().await else {
            return self.finish().map(|()| false);
        };
        let piece = piece.map_err(|fault| self.store.fault("read", &self.check.key, &fault))?;
        if self.check.md5.is_some() {
            self.hasher.update(&piece);
        }
        self.len += piece.len() as u64;
        self.pieces.push(piece);
        if self.len > self.check.len {
            return Err(self.wrong(
                ErrorKind::Corrupt,
                "the store sent more bytes than it was asked for".to_owned(),
            ));
        }
        Ok(true)
    }

    fn finish(&mut self) -> Result<()> {
        if self.len < self.check.len {
            let missing = self.check.len - self.len;
            return Err(self.wrong(
                ErrorKind::Unavailable,
                format!("the stream ended {missing} bytes early"),
            ));
        }
        let found = std::mem::take(&mut self.hasher).finalize();
        if self
            .check
            .md5
            .as_ref()
            .is_some_and(|md5| md5[..] != found[..])
        {
            return Err(self.wrong(
                ErrorKind::Corrupt,
                "its bytes arrived damaged: their MD5 is not the one that the store sent"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    fn wrong(&self, kind: ErrorKind, detail: String) -> Error {
        Error::new(kind, "read", self.check.key.as_str(), detail).retryable()
    }
}
