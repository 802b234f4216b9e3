//! Several futures at once, whose outputs are handled one after the other.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::FuturesOrdered;

/// The futures of a stream, at most so many at once, with their outputs in the order of the stream.
///
/// Whoever handles an output may wait for something that the futures under way hold: a request's
/// turn, room in a buffer. In a loop over [`buffered`](futures::StreamExt::buffered) nobody polls
/// them during that, and it waits for itself for ever. So each `await` between two outputs goes
/// through [`beside`](InOrder::beside), which polls everything that has begun: the futures, and the
/// stream itself.
///
/// ```
/// # use arc_backup_core::InOrder;
/// # use futures::StreamExt;
/// # async fn handle(_: u64) {}
/// # async fn example() {
/// let work = futures::stream::iter(0..10).map(|n| async move { n * n });
/// let mut outputs = InOrder::new(work, 4);
/// while let Some(output) = outputs.next().await {
///     outputs.beside(handle(output)).await;
/// }
/// # }
/// ```
pub struct InOrder<'a, F: Future> {
    /// `None` when it has ended: what it held is given back then.
    work: Option<Pin<Box<dyn Stream<Item = F> + Send + 'a>>>,
    under_way: UnderWay<F>,
}

impl<'a, F: Future> InOrder<'a, F> {
    /// The futures that `work` gives, at most `limit` at once, and at least one. What has ended and
    /// was not handed out yet counts as well.
    pub fn new(work: impl Stream<Item = F> + Send + 'a, limit: usize) -> Self {
        Self {
            work: Some(Box::pin(work)),
            under_way: UnderWay::new(limit),
        }
    }

    /// The next output; `None` when all have been given.
    pub async fn next(&mut self) -> Option<F::Output> {
        poll_fn(|cx| self.under_way.poll_output(&mut self.work, cx)).await
    }

    /// Waits for `future`, and also polls everything that has begun.
    pub async fn beside<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let output = future.as_mut().poll(cx);
            if output.is_pending() {
                self.under_way.poll(&mut self.work, cx);
            }
            output
        })
        .await
    }
}

/// What has begun and is not handled yet.
struct UnderWay<F: Future> {
    limit: usize,
    futures: FuturesOrdered<F>,
    /// Outputs that nobody has taken yet.
    ended: VecDeque<F::Output>,
    /// Came from the stream when there was no room for it.
    next: Option<F>,
    /// The stream is at work at its next item: it may hold something.
    stream_is_busy: bool,
}

impl<F: Future> UnderWay<F> {
    fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            futures: FuturesOrdered::new(),
            ended: VecDeque::new(),
            next: None,
            stream_is_busy: false,
        }
    }

    fn has_room(&self) -> bool {
        self.futures.len() + self.ended.len() < self.limit
    }

    /// The next output; `None` when all have been given.
    fn poll_output<W: Stream<Item = F> + ?Sized>(
        &mut self,
        work: &mut Option<Pin<Box<W>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        self.poll(work, cx);
        match self.ended.pop_front() {
            Some(output) => Poll::Ready(Some(output)),
            None if work.is_none() && self.futures.is_empty() && self.next.is_none() => {
                Poll::Ready(None)
            }
            None => Poll::Pending,
        }
    }

    /// Polls everything, until nothing can go on.
    fn poll<W: Stream<Item = F> + ?Sized>(
        &mut self,
        work: &mut Option<Pin<Box<W>>>,
        cx: &mut Context<'_>,
    ) {
        loop {
            let mut went_on = false;
            while let Poll::Ready(Some(output)) = Pin::new(&mut self.futures).poll_next(cx) {
                self.ended.push_back(output);
                went_on = true;
            }
            if self.has_room()
                && let Some(future) = self.next.take()
            {
                self.futures.push_back(future);
                went_on = true;
            }
            let wants_more = self.next.is_none() && (self.has_room() || self.stream_is_busy);
            if wants_more && let Some(stream) = work {
                match stream.as_mut().poll_next(cx) {
                    Poll::Ready(Some(future)) => {
                        self.stream_is_busy = false;
                        self.next = Some(future);
                        went_on = true;
                    }
                    Poll::Ready(None) => {
                        self.stream_is_busy = false;
                        *work = None;
                    }
                    Poll::Pending => self.stream_is_busy = true,
                }
            }
            if !went_on {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::{StreamExt, stream};
    use tokio::sync::Semaphore;
    use tokio::time::sleep;

    use super::*;

    /// Outputs come in the order of the work, however long each takes, and no more are under way
    /// than asked for.
    #[tokio::test(start_paused = true)]
    async fn outputs_come_in_order_and_no_more_than_the_limit_are_under_way() {
        for limit in [0, 1, 3, 100] {
            let under_way = AtomicUsize::new(0);
            let most = AtomicUsize::new(0);
            let work = stream::iter(0..50_u64).map(|n| {
                let (under_way, most) = (&under_way, &most);
                async move {
                    most.fetch_max(
                        under_way.fetch_add(1, Ordering::Relaxed) + 1,
                        Ordering::Relaxed,
                    );
                    sleep(Duration::from_millis(n * 7919 % 100)).await;
                    under_way.fetch_sub(1, Ordering::Relaxed);
                    n
                }
            });
            let mut seen = Vec::new();
            let mut outputs = InOrder::new(work, limit);
            while let Some(n) = outputs.next().await {
                outputs
                    .beside(sleep(Duration::from_millis(n * 31 % 20)))
                    .await;
                seen.push(n);
            }
            drop(outputs);
            assert!(seen.into_iter().eq(0..50), "{limit}");
            assert!(most.into_inner() <= limit.max(1));
        }
    }

    /// A backup hung for ever: what its loop waited for was held by copies that nobody polled.
    #[tokio::test(start_paused = true)]
    async fn the_handler_may_wait_for_what_the_work_holds() {
        let permits = Arc::new(Semaphore::new(2));
        let held = permits.clone();
        let work = stream::iter(0..20).map(|n| {
            let held = held.clone();
            async move {
                let _permit = held.acquire().await.expect("it is never closed");
                sleep(Duration::from_millis(10)).await;
                n
            }
        });
        let mut count = 0;
        let done = async {
            let mut outputs = InOrder::new(work, 8);
            while outputs.next().await.is_some() {
                let all = outputs.beside(permits.acquire_many(2)).await;
                drop(all.expect("it is never closed"));
                count += 1;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), done)
            .await
            .expect("it does not wait for itself");
        assert_eq!(count, 20);
    }

    /// A listing's request may hold what the handler waits for, too.
    #[tokio::test(start_paused = true)]
    async fn the_handler_may_wait_for_what_the_stream_holds() {
        let permits = Arc::new(Semaphore::new(1));
        let held = permits.clone();
        let work = stream::unfold(0, move |n| {
            let held = held.clone();
            async move {
                let _permit = held.acquire().await.expect("it is never closed");
                sleep(Duration::from_millis(10)).await;
                (n < 20).then(|| (std::future::ready(n), n + 1))
            }
        });
        let done = async {
            let mut outputs = InOrder::new(work, 4);
            while outputs.next().await.is_some() {
                let permit = outputs.beside(permits.acquire()).await;
                drop(permit.expect("it is never closed"));
            }
        };
        tokio::time::timeout(Duration::from_secs(60), done)
            .await
            .expect("it does not wait for itself");
    }
}
