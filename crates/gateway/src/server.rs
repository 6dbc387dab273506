//! Connections of clients: how many, for how long, and how they end.

use std::{io, pin::pin, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{Duration, sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;

use crate::{config::Server, tls::Acceptor};

/// What hyper buffers of a connection's input and output, each. A request's head has to fit.
const MAX_BUFFER: usize = 64 * 1024;
/// How long a client may take over a TLS handshake, besides what it may take over the head of a request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing is accepted after an error that is not one connection's: file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` until `shutdown` completes, then lets calls that are under way finish, for as long as
/// `settings` allow.
///
/// # Cancel safety
///
/// Dropping the future closes all connections.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Acceptor>,
    router: Router,
    settings: &Server,
    shutdown: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(settings.max_connections));
    let (draining, drain) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => report(ended),
            (stream, permit) = accept(&listener, &room) => {
                let tls = tls.as_ref().map(Acceptor::current);
                let serving = Serving { router: router.clone(), settings: settings.clone(), drain: drain.clone() };
                connections.spawn(serving.connection(stream, permit, tls));
            }
        }
    }
    drop(listener);
    draining.send_replace(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    if timeout(settings.drain_timeout, finished).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "closing connections whose calls took longer than server.drain_timeout"
        );
        connections.shutdown().await;
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// The next connection, once there is room for it. Others wait in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Fails only once the semaphore is closed, which nobody does.
    let permit = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// What a connection is served with.
struct Serving {
    router: Router,
    settings: Server,
    drain: watch::Receiver<bool>,
}

impl Serving {
    async fn connection(
        mut self,
        stream: TcpStream,
        _permit: Option<OwnedSemaphorePermit>,
        tls: Option<TlsAcceptor>,
    ) {
        // Events are small, and each is to arrive when it is sent.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.settings.write_timeout));
        let stream = Box::pin(stream);
        let Some(tls) = tls else {
            return self.http(stream).await;
        };
        let limit = self.settings.idle_timeout.min(HANDSHAKE_TIMEOUT);
        let handshake = timeout(limit, tls.accept(stream));
        let accepted = tokio::select! {
            accepted = handshake => accepted,
            () = told_to_drain(&mut self.drain) => return,
        };
        match accepted {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    /// HTTP/1.1 alone: what AWS SDKs speak to an endpoint that offers no more.
    async fn http<S>(mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let service = TowerToHyperService::new(self.router);
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.settings.idle_timeout)
                .max_buf_size(MAX_BUFFER)
                .serve_connection(TokioIo::new(stream), service)
        );
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = told_to_drain(&mut self.drain) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "connection failed");
        }
    }
}

async fn told_to_drain(drain: &mut watch::Receiver<bool>) {
    // The sender lives until all connections have ended.
    let _ = drain.wait_for(|drain| *drain).await;
}
