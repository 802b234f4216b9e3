//! Reading an object, whatever breaks on the way.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};

use super::{Budget, Heartbeat, Reservation, Retrier};
use crate::{ByteStream, Error, ErrorKind, Result};

/// A piece that is handed on at once, at the most: whoever reads may hold one for each object.
const PIECE_BYTES: usize = 256 << 10;

/// Opens ranges of one version of one object.
#[async_trait]
pub trait RangeReader: Send + Sync + 'static {
    /// Opens `range` for reading, once, without retries of its own. The body gives exactly these
    /// bytes or an error; [`ErrorKind::Changed`] when the object is no longer the version it was.
    ///
    /// A body that has to hold its bytes back until it has checked them gives empty pieces
    /// until then: each is a sign of life, and no progress.
    async fn open(&self, range: Range<u64>) -> Result<ByteStream>;

    /// As [`open`](Self::open), for a reader that keeps bytes back, to check them before it hands
    /// them on: it beats as they arrive, so that a slow body is not taken for a dead one.
    ///
    /// The default is for readers that hand on what comes: each piece is a beat by itself.
    async fn open_with_heartbeat(&self, range: Range<u64>, beat: Heartbeat) -> Result<ByteStream> {
        let _ = beat;
        self.open(range).await
    }
}

/// How an object is read.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    /// Does the requests.
    pub retrier: Retrier,
    /// Where the buffers come from.
    pub budget: Budget,
    /// How large a range is where several are read at once.
    pub range_bytes: u64,
    /// How many ranges are read at once.
    pub parallel: usize,
    /// The object's key, for errors.
    pub subject: String,
}

/// Reads `range`: a small one as one stream, a large one in several ranges at once, whose bytes
/// come in order.
///
/// A stream that breaks off is resumed from where it was; a range that gives nothing for as long as
/// the retry policy bears, or as often, fails. `first` is the body of an answer that is there
/// already, beginning at `range.start`.
pub fn read_ranges(
    reader: Arc<dyn RangeReader>,
    plan: ReadPlan,
    range: Range<u64>,
    first: Option<ByteStream>,
) -> ByteStream {
    let len = range.end.saturating_sub(range.start);
    if len == 0 {
        return stream::empty().boxed();
    }
    if len <= plan.range_bytes || plan.parallel < 2 {
        return resumed(reader, Arc::new(plan), range, first).boxed();
    }
    let wanted = plan.range_bytes.saturating_mul(plan.parallel as u64);
    stream::once(async move {
        let reservation = Arc::new(plan.budget.reserve(wanted.min(len)).await);
        let parallel = usize::try_from(reservation.bytes() / plan.range_bytes)
            .unwrap_or(1)
            .clamp(1, plan.parallel);
        in_order(reader, Arc::new(plan), range, first, parallel, reservation)
    })
    .flatten()
    .boxed()
}

fn in_order(
    reader: Arc<dyn RangeReader>,
    plan: Arc<ReadPlan>,
    whole: Range<u64>,
    mut first: Option<ByteStream>,
    parallel: usize,
    reservation: Arc<Reservation>,
) -> impl Stream<Item = Result<Bytes>> + Send {
    let step = plan.range_bytes;
    let starts = (whole.start..whole.end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    stream::iter(starts)
        .map(move |start| {
            let range = start..start.saturating_add(step).min(whole.end);
            let (reader, plan, reservation) = (reader.clone(), plan.clone(), reservation.clone());
            // The answer that is there is cut where the first range ends: the rest of it is another
            // range's.
            let first = first.take().map(|body| cut(body, range.end - range.start));
            // A task for each, so that all of them move while the first is being consumed.
            let task = AbortOnDrop(tokio::spawn(async move {
                let mut pieces = Vec::new();
                let mut body = std::pin::pin!(resumed(reader, plan, range, first));
                while let Some(piece) = body.next().await {
                    pieces.push(piece?);
                }
                Ok::<_, Error>((pieces, reservation))
            }));
            task.joined()
        })
        .buffered(parallel)
        .flat_map(|outcome| match outcome {
            Ok((pieces, reservation)) => stream::iter(pieces)
                .map(move |piece| {
                    let _held = &reservation;
                    Ok(piece)
                })
                .left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        })
}

/// A task that ends when nobody waits for it any more: a reader that is dropped must not go on
/// reading.
struct AbortOnDrop<T>(tokio::task::JoinHandle<Result<T>>);

impl<T> AbortOnDrop<T> {
    async fn joined(mut self) -> Result<T> {
        match (&mut self.0).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::new(
                ErrorKind::Other,
                "read",
                "a range",
                error.to_string(),
            )),
        }
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The first `len` bytes of `body`.
fn cut(body: ByteStream, len: u64) -> ByteStream {
    stream::unfold((body, len), |(mut body, left)| async move {
        if left == 0 {
            return None;
        }
        match body.next().await? {
            Ok(mut piece) => {
                // A piece is in memory: its length fits.
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - piece.len() as u64;
                Some((Ok(piece), (body, left)))
            }
            Err(error) => Some((Err(error), (body, 0))),
        }
    })
    .boxed()
}

struct Resumed {
    reader: Arc<dyn RangeReader>,
    plan: Arc<ReadPlan>,
    range: Range<u64>,
    body: Option<ByteStream>,
    beat: Heartbeat,
    /// Attempts since the last byte.
    attempts: u32,
    /// What a large piece still has.
    rest: Bytes,
    failed: bool,
}

/// One range as a stream that survives its connection.
fn resumed(
    reader: Arc<dyn RangeReader>,
    plan: Arc<ReadPlan>,
    range: Range<u64>,
    first: Option<ByteStream>,
) -> impl Stream<Item = Result<Bytes>> + Send {
    let state = Resumed {
        reader,
        range,
        body: first,
        beat: plan.retrier.heartbeat(),
        plan,
        attempts: 0,
        rest: Bytes::new(),
        failed: false,
    };
    stream::unfold(state, |mut state| async move {
        if state.failed {
            return None;
        }
        let piece = state.next().await.transpose()?;
        state.failed = piece.is_err();
        Some((piece, state))
    })
}

impl Resumed {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        // Whoever reads may take its time: silence is counted from when the next piece is asked
        // for.
        self.beat.wait();
        loop {
            if !self.rest.is_empty() {
                return Ok(Some(self.rest.split_to(self.rest.len().min(PIECE_BYTES))));
            }
            if self.range.is_empty() {
                return Ok(None);
            }
            let error = match self.piece().await {
                Ok(piece) => {
                    if !piece.is_empty() {
                        self.attempts = 0;
                    }
                    self.range.start += piece.len() as u64;
                    self.rest = piece;
                    continue;
                }
                Err(error) => error,
            };
            self.body = None;
            self.attempts += 1;
            let silent = self.plan.retrier.is_silent(&self.beat);
            if silent || !self.plan.retrier.may_try_again(&error, self.attempts) {
                return Err(self.plan.retrier.given_up(error, self.attempts, &self.beat));
            }
            self.plan.retrier.wait(self.attempts, &error).await;
        }
    }

    /// The next bytes of the body that is open, or of one that is opened again.
    async fn piece(&mut self) -> Result<Bytes> {
        let (plan, beat, range) = (self.plan.clone(), self.beat.clone(), self.range.clone());
        if self.body.is_none() {
            let opened = plan
                .retrier
                .once("read", &plan.subject, &beat, || {
                    self.reader.open_with_heartbeat(range.clone(), beat.clone())
                })
                .await?;
            self.body = Some(opened);
        }
        let Some(body) = self.body.as_mut() else {
            return Ok(Bytes::new());
        };
        let next = async { body.next().await.transpose() };
        let piece = plan
            .retrier
            .watched("read", &plan.subject, &beat, next)
            .await?;
        let left = range.end - range.start;
        match piece {
            Some(piece) if piece.len() as u64 > left => Err(Error::new(
                ErrorKind::Corrupt,
                "read",
                plan.subject.as_str(),
                "the store sent more bytes than it was asked for",
            )),
            // A sign that the reader lives, perhaps without a byte of the store's.
            Some(piece) if piece.is_empty() => {
                beat.wait();
                Ok(piece)
            }
            Some(piece) => {
                beat.beat();
                Ok(piece)
            }
            None => Err(Error::new(
                ErrorKind::Unavailable,
                "read",
                plan.subject.as_str(),
                format!("the stream ended {left} bytes early"),
            )
            .retryable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::RetryPolicy;
    use super::*;

    /// Gives the bytes of its offset, breaks off after `breaks_after`, and counts.
    struct Flaky {
        breaks_after: u64,
        opened: AtomicU64,
    }

    fn byte(offset: u64) -> u8 {
        (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }

    #[async_trait]
    impl RangeReader for Flaky {
        async fn open(&self, range: Range<u64>) -> Result<ByteStream> {
            let broken =
                || Error::new(ErrorKind::Unavailable, "read", "a", "connection reset").retryable();
            if self.opened.fetch_add(1, Ordering::Relaxed) % 3 == 1 {
                return Err(broken());
            }
            let whole: Bytes = range.clone().map(byte).collect();
            let given = whole.len().min(self.breaks_after as usize);
            let mut pieces: Vec<_> = whole[..given]
                .chunks(1000)
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect();
            if given < whole.len() {
                pieces.push(Err(broken()));
            }
            Ok(stream::iter(pieces).boxed())
        }
    }

    fn plan() -> ReadPlan {
        ReadPlan {
            retrier: Retrier::new(RetryPolicy::default(), 8),
            budget: Budget::new(1 << 20),
            range_bytes: 10_000,
            parallel: 4,
            subject: "a".to_owned(),
        }
    }

    async fn read(reader: Flaky, range: Range<u64>) -> Result<Vec<u8>> {
        let mut body = read_ranges(Arc::new(reader), plan(), range, None);
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    /// Every byte once and in order, whatever breaks.
    #[tokio::test(start_paused = true)]
    async fn resumes_where_a_stream_broke() {
        for range in [0..1, 5..9_000, 0..10_000, 77..123_456, 9..9] {
            let reader = Flaky {
                breaks_after: 2_500,
                opened: AtomicU64::new(0),
            };
            let got = read(reader, range.clone()).await.expect("it goes on");
            let wanted: Vec<u8> = range.clone().map(byte).collect();
            assert!(got == wanted, "{range:?} gives {} bytes", got.len());
        }
    }

    /// Shows that it lives, and then that what it read is damaged.
    struct Damaged(AtomicU64);

    #[async_trait]
    impl RangeReader for Damaged {
        async fn open(&self, _range: Range<u64>) -> Result<ByteStream> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let damaged = || Error::new(ErrorKind::Corrupt, "read", "a", "damaged").retryable();
            Ok(stream::iter([Ok(Bytes::new()), Ok(Bytes::new()), Err(damaged())]).boxed())
        }
    }

    /// Signs of life are no progress: bytes that never come right must end a read, not try for
    /// ever.
    #[tokio::test(start_paused = true)]
    async fn gives_up_where_only_empty_pieces_come() {
        let reader = Arc::new(Damaged(AtomicU64::new(0)));
        let mut body = read_ranges(reader.clone(), plan(), 0..50, None);
        let error = body
            .next()
            .await
            .expect("an answer")
            .expect_err("no byte is right");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(reader.0.load(Ordering::Relaxed), 8);
    }

    /// Keeps the whole body back for longer than the policy bears silence, while its bytes trickle
    /// in.
    struct Checking;

    #[async_trait]
    impl RangeReader for Checking {
        async fn open(&self, _: Range<u64>) -> Result<ByteStream> {
            unreachable!("a reader that beats is opened as one")
        }

        async fn open_with_heartbeat(
            &self,
            range: Range<u64>,
            beat: Heartbeat,
        ) -> Result<ByteStream> {
            Ok(stream::once(async move {
                for _ in 0..30 {
                    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
                    beat.beat();
                }
                Ok(range.map(byte).collect())
            })
            .boxed())
        }
    }

    /// A body that is checked before it is handed on may come slowly.
    #[tokio::test(start_paused = true)]
    async fn what_is_kept_back_is_not_dead() {
        let mut body = read_ranges(Arc::new(Checking), plan(), 0..50, None);
        let piece = body
            .next()
            .await
            .expect("it comes")
            .expect("it is not given up");
        assert_eq!(piece.len(), 50);
    }

    /// A stream that never gives a byte is given up.
    #[tokio::test(start_paused = true)]
    async fn gives_up_where_nothing_comes() {
        let reader = Flaky {
            breaks_after: 0,
            opened: AtomicU64::new(0),
        };
        let error = read(reader, 0..50).await.expect_err("nothing comes");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}
