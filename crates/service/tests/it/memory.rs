//! An HTTP client with no network below it, so that time can stand still.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_bedrockruntime::config::{HttpClient, RuntimeComponents, http::HttpResponse};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::HttpRequest,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::{
    sync::mpsc,
    time::{Duration, sleep},
};

/// Waits, and then answers with a body that comes piece by piece.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) before: Duration,
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Clone)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    Wait(Duration),
    /// The connection breaks.
    Cut,
    /// Nothing more comes, and the connection stays.
    Hang,
}

#[derive(Clone)]
pub(crate) struct Memory {
    script: Arc<Script>,
    calls: Arc<AtomicUsize>,
}

impl Memory {
    pub(crate) fn new(before: Duration, pieces: Vec<Piece>) -> Self {
        Self {
            script: Arc::new(Script { before, pieces }),
            calls: Arc::default(),
        }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl HttpClient for Memory {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Memory {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let script = Arc::clone(&self.script);
        HttpConnectorFuture::new(async move {
            sleep(script.before).await;
            Ok(HttpResponse::new(
                200.try_into().unwrap(),
                body(script.pieces.clone()),
            ))
        })
    }
}

fn body(pieces: Vec<Piece>) -> SdkBody {
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for piece in pieces {
            let sent = match piece {
                Piece::Bytes(bytes) => sender.send(Ok(Frame::data(Bytes::from(bytes)))).await,
                Piece::Cut => {
                    let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    sender.send(Err(cut)).await
                }
                Piece::Wait(time) => {
                    sleep(time).await;
                    Ok(())
                }
                Piece::Hang => {
                    sender.closed().await;
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    });
    SdkBody::from_body_1_x(StreamBody::new(stream::poll_fn(move |cx| {
        receiver.poll_recv(cx)
    })))
}
