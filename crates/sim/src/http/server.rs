use std::{convert::Infallible, future::Future, io, pin::pin, time::Duration};

use axum::{Router, body::Body, response::Response};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tower_service::Service;

use super::{
    connection::{Connection, ConnectionIo},
    router,
};
use crate::Simulator;

/// How long a client may take to send the head of a request, and how long a connection may stay idle
/// before the next one.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long calls under way may take to finish when the server is to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves a simulator over HTTP/1 and, to clients that begin with it, HTTP/2, until `shutdown` resolves.
///
/// Calls under way then get ten seconds to finish; what is still open after that is dropped.
///
/// # Cancel safety
///
/// Dropping the future closes the listener and every connection.
///
/// # Errors
///
/// None at present: an error of one connection ends that connection alone.
pub async fn serve<F>(listener: TcpListener, simulator: Simulator, shutdown: F) -> io::Result<()>
where
    F: Future,
{
    let router = router(simulator);
    let (stop, stopping) = watch::channel(());
    // Dropping it aborts the connections, so nothing outlives this future.
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stopping.clone()));
                }
                Err(error) => accept_failed(&error).await,
            },
            Some(_) = connections.join_next() => {}
            _ = &mut shutdown => break,
        }
    }
    drop(listener);
    drop(stop);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "connections closed that were still in use"
        );
    }
    connections.shutdown().await;
    Ok(())
}

/// Runs one connection until it is over, is to be reset, or has nothing under way when the server stops.
async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<()>) {
    let mut stop = pin!(stopping.changed());
    // Nothing else bounds the wait for the first byte, which tells HTTP/1 and HTTP/2 apart.
    let speaks = tokio::select! {
        speaks = tokio::time::timeout(HEADER_TIMEOUT, stream.readable()) => speaks.is_ok(),
        _ = &mut stop => false,
    };
    if !speaks {
        return;
    }
    // Deltas are small and are to be sent as they come.
    let _ = stream.set_nodelay(true);
    let connection = Connection::default();
    let io = TokioIo::new(ConnectionIo::new(stream, connection.clone()));
    let service = service_fn({
        let connection = connection.clone();
        move |request| call(router.clone(), connection.clone(), request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let mut running = pin!(builder.serve_connection(io, service));
    let mut stops = true;
    loop {
        tokio::select! {
            // In this order: what was sent before a reset is flushed before the reset.
            biased;
            result = &mut running => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection failed");
                }
                return;
            }
            () = connection.asked_to_reset() => return,
            _ = &mut stop, if stops => {
                stops = false;
                running.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn call(
    mut router: Router,
    connection: Connection,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(connection);
    // A router is always ready.
    router.call(request.map(Body::new)).await
}

/// Errors of single connections are passed over. Running out of file descriptors is not one of them:
/// trying again at once would spin.
async fn accept_failed(error: &io::Error) {
    let of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    );
    if !of_one_connection {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
