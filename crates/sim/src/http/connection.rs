use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
};

/// The connection a request came by. [`serve`](super::serve) puts one into every request's extensions,
/// so that a fault can cut it.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    reset: AtomicBool,
    asked: Notify,
}

/// A TCP stream that closes with a reset where its [`Connection`] was told to.
#[derive(Debug)]
pub(super) struct ConnectionIo {
    stream: TcpStream,
    connection: Connection,
}

// === impl Connection ===

impl Connection {
    /// Cuts the connection, as a load balancer or a NAT gateway would: no last chunk, no FIN, but a TCP
    /// reset. What was handed to the connection before is sent.
    pub(super) fn reset(&self) {
        self.shared.reset.store(true, Ordering::Release);
        self.shared.asked.notify_one();
    }

    /// Resolves when [`reset`](Self::reset) was called. Cancel safe.
    pub(super) async fn asked_to_reset(&self) {
        self.shared.asked.notified().await;
    }
}

// === impl ConnectionIo ===

impl ConnectionIo {
    pub(super) const fn new(stream: TcpStream, connection: Connection) -> Self {
        Self { stream, connection }
    }
}

impl Drop for ConnectionIo {
    fn drop(&mut self) {
        if self.connection.shared.reset.load(Ordering::Acquire) {
            // Without time to linger, closing sends a reset. Where the option cannot be set, the peer
            // sees an early end instead.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ConnectionIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ConnectionIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
