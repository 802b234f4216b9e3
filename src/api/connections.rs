//! The open connections: how many there may be, and how long each may take to send a request.
//!
//! A connection that sends nothing needs no token and holds a descriptor. So their number is
//! bounded, well below the limit on open files: a backup that runs has its descriptors, however
//! many clients connect.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a new connection may take to send the header of its first request.
const FIRST_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may go without a request after its last one, and how long the reader of an
/// answer may pause.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The share of the open files that connections may be: the rest is left for operations.
const SHARE: u64 = 4;

/// The fewest and the most connections, whatever the limit on open files.
const FEWEST: u64 = 8;
const MOST: u64 = 512;

/// The number of connections that the process's limit on open files leaves room for.
pub(super) fn limit() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((files / SHARE).clamp(FEWEST, MOST)).unwrap_or(usize::MAX)
}

/// One open connection: since when it waits for its client, or how many requests are being
/// answered.
#[derive(Debug)]
pub(super) struct Connection {
    opened: Instant,
    /// When the client last had to do something, in milliseconds since `opened`.
    waiting_since: AtomicU64,
    /// Whether it has sent a header.
    has_requested: AtomicBool,
    /// How many requests, received whole, are being answered.
    answering: AtomicU32,
    closing: CancellationToken,
}

impl Connection {
    fn new() -> Self {
        Self {
            opened: Instant::now(),
            waiting_since: AtomicU64::new(0),
            has_requested: AtomicBool::new(false),
            answering: AtomicU32::new(0),
            closing: CancellationToken::new(),
        }
    }

    fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    fn restart_waiting(&self) {
        let now = u64::try_from(self.age().as_millis()).unwrap_or(u64::MAX);
        self.waiting_since.store(now, Ordering::Relaxed);
    }

    fn waits_since(&self) -> Instant {
        self.opened + Duration::from_millis(self.waiting_since.load(Ordering::Relaxed))
    }

    fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed) > 0
    }

    /// The header of a request has been received: its body has a time limit of its own.
    pub(super) fn header_received(&self) {
        self.has_requested.store(true, Ordering::Relaxed);
        self.restart_waiting();
    }

    /// A request has been received whole: until the guard goes, the service is at work and not the
    /// client.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    /// Whether the client has taken too long.
    pub(super) fn is_overdue(&self) -> bool {
        let timeout = if self.has_requested.load(Ordering::Relaxed) {
            IDLE_TIMEOUT
        } else {
            FIRST_HEADER_TIMEOUT
        };
        !self.is_answering() && self.waits_since().elapsed() >= timeout
    }

    /// Returns when the connection has to make room for another one.
    pub(super) async fn closed(&self) {
        self.closing.cancelled().await;
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.restart_waiting();
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    limit: usize,
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    /// A connection has ended.
    ended: Notify,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            open: Mutex::default(),
            ended: Notify::new(),
        })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when there is room for one more: closes the connection that has waited longest for
    /// its client.
    ///
    /// Waiting for a free place instead would let silent clients keep everybody else out.
    pub(super) async fn make_room(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open().len() < self.limit {
                return;
            }
            self.close_longest_waiting();
            // Where all are being answered, one may begin to wait without any that ends.
            let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
        }
    }

    /// Closes the connection that has waited longest for its client, if any does.
    pub(super) fn close_longest_waiting(&self) {
        let open = self.open();
        let waiting = (open.values())
            .filter(|connection| !connection.is_answering() && !connection.closing.is_cancelled());
        if let Some(connection) = waiting.min_by_key(|connection| connection.waits_since()) {
            connection.closing.cancel();
        }
    }

    /// Counts a new connection until the registration goes.
    pub(super) fn register(self: &Arc<Self>) -> Registration {
        let connection = Arc::new(Connection::new());
        let mut open = self.open();
        let number = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(number, connection.clone());
        Registration {
            connection,
            number,
            connections: self.clone(),
        }
    }

    /// Returns when no connection is open.
    pub(super) async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open().is_empty() {
                return;
            }
            ended.await;
        }
    }
}

/// A connection that counts.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) connection: Arc<Connection>,
    number: u64,
    connections: Arc<Connections>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.open().remove(&self.number);
        self.connections.ended.notify_one();
    }
}

/// The bytes of a connection; those that the client takes count as a sign of life, those that it
/// sends do not: a header of one byte a second would never end.
#[derive(Debug)]
pub(super) struct WatchedStream {
    pub(super) stream: TcpStream,
    pub(super) connection: Arc<Connection>,
}

impl WatchedStream {
    fn watch(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = written {
            self.connection.restart_waiting();
        }
        written
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(ago: Duration) -> Arc<Connection> {
        Arc::new(Connection {
            opened: Instant::now().checked_sub(ago).expect("a moment"),
            ..Connection::new()
        })
    }

    /// A connection must end where its client falls silent, and must not while the service is at
    /// work for it.
    #[tokio::test]
    async fn a_connection_is_overdue_by_what_it_waits_for() {
        let silent = opened(FIRST_HEADER_TIMEOUT);
        assert!(silent.is_overdue());
        silent.header_received();
        assert!(!silent.is_overdue(), "a header was received just now");
        let kept = opened(FIRST_HEADER_TIMEOUT);
        kept.has_requested.store(true, Ordering::Relaxed);
        assert!(!kept.is_overdue(), "it may be idle for longer");
        let idle = opened(IDLE_TIMEOUT);
        idle.has_requested.store(true, Ordering::Relaxed);
        assert!(idle.is_overdue());
        let answering = idle.answer();
        assert!(!idle.is_overdue(), "the service is at work");
        drop(answering);
        assert!(!idle.is_overdue(), "its answer is to be read");
    }

    /// Where all places are taken, the one that has waited longest must go, and none that is being
    /// answered.
    #[tokio::test]
    async fn room_is_made_by_the_connection_that_has_waited_longest() {
        let connections = Connections::new(3);
        let mut registrations: Vec<_> = (0..3).map(|_| connections.register()).collect();
        for (number, registration) in registrations.iter().enumerate() {
            let since = u64::try_from(number).expect("a small number");
            (registration.connection.waiting_since).store(since, Ordering::Relaxed);
        }
        let _answering = registrations[0].connection.answer();
        let made = tokio::spawn({
            let connections = connections.clone();
            async move { connections.make_room().await }
        });
        registrations[1].connection.closed().await;
        let is_closing = |number: usize| {
            let registration: &Registration = &registrations[number];
            registration.connection.closing.is_cancelled()
        };
        assert!(!is_closing(0) && !is_closing(2));
        assert!(!made.is_finished(), "it has not ended yet");
        drop(registrations.remove(1));
        made.await.expect("room");
    }
}
