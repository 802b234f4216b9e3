//! The HTTP server: accepts connections, within bounds that silent or slow clients cannot use up.
//!
//! poem's own server has no bound, no time limit for a header, and tries again at once when no
//! descriptor is left.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, Registration, WatchedStream, limit};

/// How often a connection is checked for being overdue.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long nothing is accepted after it failed, for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    connections: Arc<Connections>,
}

impl Server {
    /// Listens on `address`, `host:port`.
    ///
    /// # Errors
    /// When `address` is not an address, or nothing can listen there.
    pub async fn bind(address: &str) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            connections: Connections::new(limit()),
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the operating system does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `app` until `shutdown` returns; then open connections have `grace` to end.
    pub async fn run<E>(self, app: E, shutdown: impl Future<Output = ()>, grace: Duration)
    where
        E: Endpoint<Output = Response> + 'static,
    {
        let Self {
            listener,
            connections,
        } = self;
        let (ending, ended) = (CancellationToken::new(), CancellationToken::new());
        let serving = Serving {
            app: Arc::new(app),
            connections: connections.clone(),
            ending: ending.clone(),
            ended: ended.clone(),
        };
        tokio::select! {
            () = shutdown => {}
            () = accept(&listener, &serving) => {}
        }
        drop(listener);
        ending.cancel();
        let _ = tokio::time::timeout(grace, connections.all_ended()).await;
        ended.cancel();
        // One that waits for a disk may not end by itself.
        let _ = tokio::time::timeout(grace, connections.all_ended()).await;
    }
}

/// What each connection needs.
struct Serving<E> {
    app: Arc<E>,
    connections: Arc<Connections>,
    /// The service ends: connections take no further request.
    ending: CancellationToken,
    /// Connections are closed, whatever they do.
    ended: CancellationToken,
}

async fn accept<E>(listener: &TcpListener, serving: &Serving<E>)
where
    E: Endpoint<Output = Response> + 'static,
{
    let local = listener.local_addr().map_or_else(
        |_| LocalAddr::default(),
        |address| LocalAddr(address.into()),
    );
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                serving.connections.make_room().await;
                let connection = serving.connections.register();
                tokio::spawn(serve(
                    stream,
                    connection,
                    serving.app.clone(),
                    (local.clone(), RemoteAddr(remote.into())),
                    serving.ending.clone(),
                    serving.ended.clone(),
                ));
            }
            // The client has gone before it was accepted.
            Err(error) if is_of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                serving.connections.close_longest_waiting();
                // The listener stays readable: without a pause this would be a busy loop.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn serve<E>(
    stream: TcpStream,
    registration: Registration,
    app: Arc<E>,
    (local, remote): (LocalAddr, RemoteAddr),
    ending: CancellationToken,
    ended: CancellationToken,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let connection = &registration.connection;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        connection.header_received();
        let mut request: poem::Request =
            (request, local.clone(), remote.clone(), Scheme::HTTP).into();
        request.set_data(connection.clone());
        let app = app.clone();
        async move { Ok::<_, Infallible>(hyper::Response::from(app.get_response(request).await)) }
    });
    let stream = TokioIo::new(WatchedStream {
        stream,
        connection: connection.clone(),
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut exchange = std::pin::pin!(builder.serve_connection(stream, service));
    let mut check = tokio::time::interval(CHECK_INTERVAL);
    let mut is_ending = false;
    loop {
        tokio::select! {
            _ = &mut exchange => return,
            () = ended.cancelled() => return,
            () = connection.closed() => return,
            () = ending.cancelled(), if !is_ending => {
                is_ending = true;
                exchange.as_mut().graceful_shutdown();
            }
            _ = check.tick() => if connection.is_overdue() {
                return;
            },
        }
    }
}
