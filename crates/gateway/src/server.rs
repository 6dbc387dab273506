//! Connections of clients: how many, for how long, and how they end.

use std::{io, pin::pin, sync::Arc};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinError, JoinSet},
    time::{Duration, sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;

use crate::config::Server;

/// What hyper buffers of a connection's input and output, each. A request's head has to fit.
const MAX_BUFFER: usize = 64 * 1024;
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
                connections.spawn(connection(stream, permit, router.clone(), settings.clone(), drain.clone()));
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

/// HTTP/1.1 alone: what AWS SDKs speak to a plain-text endpoint.
async fn connection(
    stream: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
    router: Router,
    settings: Server,
    mut drain: watch::Receiver<bool>,
) {
    // Events are small, and each is to arrive when it is sent.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(settings.write_timeout));
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.idle_timeout)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(Box::pin(stream)), service)
    );
    let told_to_drain = async {
        // The sender lives until all connections have ended.
        let _ = drain.wait_for(|drain| *drain).await;
    };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = told_to_drain => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection failed");
    }
}
