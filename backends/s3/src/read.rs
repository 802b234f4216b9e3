//! Reading objects: whole and checked where they are small, in ranges where they are large.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arc_backup_core::remote::{Heartbeat, RangeReader, read_ranges};
use arc_backup_core::{
    Body, ByteStream, Error, ErrorKind, GetOptions, Key, Meta, Object, Purpose, Result,
};
use async_trait::async_trait;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream as SdkStream;
use aws_sdk_s3::types::{ChecksumMode, StorageClass};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};

use crate::call::Call;
use crate::checksum::Expected;
use crate::config::S3Checksums;
use crate::error::{RequestFault, absent, broken_body, damaged};
use crate::store::{Store, length, odd_answer, quoted};

fn reading(key: &str) -> Call<'_> {
    Call {
        operation: "read",
        subject: key,
        permission: "s3:GetObject",
    }
}

/// Asks for the checksum that the store keeps, unless it is one that knows none.
fn checksum_mode(store: &Store) -> Option<ChecksumMode> {
    (store.config.checksums == S3Checksums::WhenSupported).then_some(ChecksumMode::Enabled)
}

/// The facts of the object that is named `name`, as S3 gives them; `None` when it is absent.
pub(crate) async fn head_answer(
    store: &Store,
    call: Call<'_>,
    name: &str,
) -> Result<Option<HeadObjectOutput>> {
    let asked = store
        .attempt(store.retrier(Purpose::Data), call, |client, _| {
            let request = client
                .head_object()
                .bucket(store.bucket())
                .key(name)
                .set_checksum_mode(checksum_mode(store));
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
        Err((Some(fault), error)) => match store.explained(call, &fault).await {
            Some(reason) => Err(reason),
            None if fault.is_absent() => Ok(None),
            None => Err(error),
        },
        Err((None, error)) => Err(error),
    }
}

pub(crate) async fn head(store: &Store, key: &Key) -> Result<Option<Meta>> {
    let answer = head_answer(store, reading(key), &store.name(key)).await?;
    let Some(answer) = answer else {
        return Ok(None);
    };
    let size = length(reading(key), answer.content_length())?;
    Ok(Some(Meta {
        archived: is_archived(&answer),
        ..Store::meta(key, size, answer.e_tag(), answer.last_modified())
    }))
}

/// Whether nothing can be read from an object before it was restored to another class in the store.
fn is_archived(answer: &HeadObjectOutput) -> bool {
    let restored =
        (answer.restore()).is_some_and(|text| text.contains("ongoing-request=\"false\""));
    let is_cold = matches!(
        answer.storage_class(),
        Some(StorageClass::Glacier | StorageClass::DeepArchive)
    );
    // The second is Intelligent-Tiering's.
    !restored && (is_cold || answer.archive_status().is_some())
}

pub(crate) async fn get(store: &Arc<Store>, key: &Key, options: GetOptions) -> Result<Object> {
    match options.range {
        None => get_whole(store, key, options.if_match).await,
        Some(range) => get_range(store, key, range, options.if_match).await,
    }
}

async fn get_whole(store: &Arc<Store>, key: &Key, if_match: Option<String>) -> Result<Object> {
    let name = store.name(key);
    let answer = ask(store, key, &name, None, if_match).await?;
    let answer = answer.ok_or_else(|| odd_answer(reading(key), "body"))?;
    let len = length(reading(key), answer.content_length())?;
    let meta = Store::meta(key, len, answer.e_tag(), answer.last_modified());
    if len == 0 {
        return Ok(Object {
            meta,
            body: Body::from_bytes(Bytes::new()),
        });
    }
    let expected = Expected::of(&answer);
    let is_small = len <= store.config.range_bytes;
    let (kept, first) = if is_small {
        (Some(answer), None)
    } else {
        (None, Some(pieces(answer.body, key.to_string())))
    };
    let reader = Reader {
        store: store.clone(),
        key: key.clone(),
        etag: meta.etag.clone(),
        whole: is_small.then_some(len),
        kept: Mutex::new(kept),
    };
    let body = read_ranges(Arc::new(reader), store.read_plan(key), 0..len, first);
    let body = match expected {
        // A small one is checked before it comes out of there.
        Some(expected) if !is_small => checked(body, &expected, key.to_string()),
        _ => body,
    };
    Ok(Object {
        meta,
        body: Body::Stream(body),
    })
}

async fn get_range(
    store: &Arc<Store>,
    key: &Key,
    range: Range<u64>,
    if_match: Option<String>,
) -> Result<Object> {
    let name = store.name(key);
    let first = range.start
        ..range
            .end
            .min(range.start.saturating_add(store.config.range_bytes));
    let answer = if first.is_empty() {
        None
    } else {
        ask(store, key, &name, Some(first), if_match.clone()).await?
    };
    let Some(answer) = answer else {
        // Nothing lies in the range; what is known of the object still has to be returned.
        let meta = head(store, key).await?.ok_or_else(|| absent("read", key))?;
        if if_match.is_some() && if_match != meta.etag {
            return Err(changed(key));
        }
        return Ok(Object {
            meta,
            body: Body::from_bytes(Bytes::new()),
        });
    };
    let whole = (answer.content_range())
        .and_then(|text| text.rsplit('/').next()?.parse().ok())
        .ok_or_else(|| odd_answer(reading(key), "`Content-Range`"))?;
    let meta = Store::meta(key, whole, answer.e_tag(), answer.last_modified());
    let reader = Reader {
        store: store.clone(),
        key: key.clone(),
        etag: meta.etag.clone(),
        whole: None,
        kept: Mutex::new(None),
    };
    let first = pieces(answer.body, key.to_string());
    let range = range.start..range.end.min(whole);
    let body = read_ranges(Arc::new(reader), store.read_plan(key), range, Some(first));
    Ok(Object {
        meta,
        body: Body::Stream(body),
    })
}

fn changed(key: &str) -> Error {
    Error::new(
        ErrorKind::Changed,
        "read",
        key,
        "it has changed since it was listed",
    )
}

/// Opens the object, or a range of it; `None` where the range starts behind its end.
async fn ask(
    store: &Store,
    key: &Key,
    name: &str,
    range: Option<Range<u64>>,
    if_match: Option<String>,
) -> Result<Option<GetObjectOutput>> {
    let asked = store
        .attempt(store.retrier(Purpose::Data), reading(key), |client, _| {
            send(store, &client, name, range.clone(), if_match.as_deref())
        })
        .await;
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err((Some(fault), _)) if fault.is_behind_end() && range.is_some() => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// One try.
fn send(
    store: &Store,
    client: &aws_sdk_s3::Client,
    name: &str,
    range: Option<Range<u64>>,
    if_match: Option<&str>,
) -> impl Future<Output = Result<GetObjectOutput, RequestFault>> + Send + use<> {
    // A checksum is of a whole object: with a range, some stores answer with one that does not fit.
    let mode = checksum_mode(store).filter(|_| range.is_none());
    let request = client
        .get_object()
        .bucket(store.bucket())
        .key(name)
        .set_checksum_mode(mode)
        .set_range(range.map(|range| format!("bytes={}-{}", range.start, range.end - 1)))
        .set_if_match(if_match.map(quoted));
    async {
        request
            .send()
            .await
            .map_err(|error| RequestFault::of(&error))
    }
}

/// A body as it comes.
fn pieces(body: SdkStream, subject: String) -> ByteStream {
    stream::unfold((body, subject), |(mut body, subject)| async move {
        let piece = body.next().await?;
        let piece = piece.map_err(|error| broken_body(&subject, &error));
        Some((piece, (body, subject)))
    })
    .boxed()
}

/// A body whose end is an error when its bytes are not those that the store has a checksum of.
fn checked(body: ByteStream, expected: &Expected, subject: String) -> ByteStream {
    let check = Some(expected.begin());
    stream::unfold(
        (body, check, subject),
        |(mut body, check, subject)| async move {
            let mut check = check?;
            match body.next().await {
                Some(Ok(piece)) => {
                    check.update(&piece);
                    Some((Ok(piece), (body, Some(check), subject)))
                }
                Some(Err(error)) => Some((Err(error), (body, None, subject))),
                None if check.holds() => None,
                None => Some((Err(damaged(&subject)), (body, None, subject))),
            }
        },
    )
    .boxed()
}

/// Opens ranges of one version of one object.
struct Reader {
    store: Arc<Store>,
    key: Key,
    etag: Option<String>,
    /// The size, where the object is read whole and checked before it is handed on.
    whole: Option<u64>,
    /// The first answer, whose body is still to be read.
    kept: Mutex<Option<GetObjectOutput>>,
}

impl Reader {
    async fn send(&self, range: Option<Range<u64>>) -> Result<GetObjectOutput> {
        let client = self.store.client().await;
        let name = self.store.name(&self.key);
        let sent = send(&self.store, client, &name, range, self.etag.as_deref());
        let fault = match sent.await {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        Err(fault.about(reading(&self.key), &self.store.destination))
    }

    /// The whole object as one piece, when all of it is here and fits its checksum.
    async fn open_whole(&self, len: u64, beat: Heartbeat) -> Result<ByteStream> {
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let answer = match kept {
            Some(answer) => answer,
            None => self.send(None).await?,
        };
        let expected = Expected::of(&answer);
        let budget = self.store.read_plan(&self.key).budget;
        let subject = self.key.to_string();
        // Room is asked for by who reads, not by who opens: a turn for a request must not wait for
        // it.
        let all = async move {
            let held = budget.reserve_with_heartbeat(len, &beat).await;
            let mut body = pieces(answer.body, subject.clone());
            // The size of something that fits into a range fits into memory.
            let mut bytes = BytesMut::with_capacity(usize::try_from(len).unwrap_or(0));
            beat.beat();
            while let Some(piece) = body.next().await {
                bytes.extend_from_slice(&piece?);
                beat.beat();
            }
            let bytes = bytes.freeze();
            if let Some(expected) = expected {
                let mut check = expected.begin();
                check.update(&bytes);
                if !check.holds() {
                    return Err(damaged(&subject));
                }
            }
            Ok((bytes, held))
        };
        Ok(stream::once(all)
            .map(|outcome| {
                outcome.map(|(bytes, held)| Bytes::from_owner(Held { bytes, _held: held }))
            })
            .boxed())
    }
}

/// Bytes that hold their share of the buffers until nobody has them any more.
struct Held {
    bytes: Bytes,
    _held: arc_backup_core::remote::Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[async_trait]
impl RangeReader for Reader {
    async fn open(&self, range: Range<u64>) -> Result<ByteStream> {
        let answer = self.send(Some(range.clone())).await?;
        let starts = format!("bytes {}-", range.start);
        if !(answer.content_range()).is_some_and(|text| text.starts_with(&starts)) {
            return Err(odd_answer(reading(&self.key), "range that was asked for"));
        }
        Ok(pieces(answer.body, self.key.to_string()))
    }

    async fn open_with_heartbeat(&self, range: Range<u64>, beat: Heartbeat) -> Result<ByteStream> {
        match self.whole {
            Some(len) if range == (0..len) => self.open_whole(len, beat).await,
            _ => self.open(range).await,
        }
    }
}
