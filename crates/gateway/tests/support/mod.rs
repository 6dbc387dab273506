//! What the tests share: an upstream that does as it is told, a gateway in front of it, and a client.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test file is a crate of its own and uses a part of this"
)]

pub mod clock;
pub mod fake;
pub mod frames;
pub mod program;
pub mod simulated;

use std::{net::SocketAddr, time::Duration};

use bedrock_gateway::{
    Gateway, Handle, Signer,
    config::{Config, Flags},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{runtime, sync::oneshot, task::JoinHandle, time::timeout};

pub use clock::Clock;
pub use fake::{Call, Fake};
pub use program::Program;
pub use simulated::Simulated;

pub const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
pub const CONVERSE: &str = "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse";
pub const CONVERSE_STREAM: &str =
    "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse-stream";
pub const INVOKE_STREAM: &str =
    "/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/invoke-with-response-stream";
pub const BODY: &str = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;

/// A gateway that runs in this process.
pub struct Running {
    pub address: SocketAddr,
    pub metrics_address: Option<SocketAddr>,
    pub handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Running {
    /// In front of `fake`, unsigned, with these keys more in its configuration.
    pub async fn new(fake: &Fake, more: &str) -> Self {
        Self::start(&config(&fake.url(), more), Signer::nobody()).await
    }

    pub async fn start(toml: &str, signer: Signer) -> Self {
        let config = Config::parse(toml, &Flags::default()).unwrap();
        let gateway = Gateway::bind_as(config, signer).await.unwrap();
        let (address, handle) = (gateway.address(), gateway.handle());
        let metrics_address = gateway.metrics_address();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(gateway.run(async move {
            let _ = stopped.await;
        }));
        Self {
            address,
            metrics_address,
            handle,
            stop: Some(stop),
            task,
        }
    }

    /// Tells it to stop.
    pub fn stop(&mut self) {
        self.stop.take();
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) {
        soon(&mut self.task).await.unwrap().unwrap();
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        post(self.address, path, body).await
    }

    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        read(self.open(request).await).await.unwrap()
    }

    /// Sends a request and returns the head of the answer.
    pub async fn open(&self, request: Request<Bytes>) -> Response<Incoming> {
        open(self.address, request).await
    }

    pub async fn open_stream(&self, path: &str) -> Response<Incoming> {
        let request = Request::post(path).body(BODY.into()).unwrap();
        self.open(request).await
    }

    /// Opens a stream that has sent these bytes; returns both ends of it.
    pub async fn begin(
        &self,
        fake: &mut Fake,
        path: &str,
        bytes: &[u8],
    ) -> (Response<Incoming>, Call) {
        tokio::join!(self.open_stream(path), async {
            let mut call = fake.call().await;
            call.begin_stream().await;
            call.chunk(bytes).await;
            call
        })
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Asserts that it is an error as Bedrock writes them, and returns its message.
    pub fn error(&self, status: u16, exception: &str) -> String {
        let name = self.header("x-amzn-errortype").split(':').next().unwrap();
        assert_eq!(
            (self.status.as_u16(), name),
            (status, exception),
            "{self:?}"
        );
        assert!(!self.header("x-amzn-requestid").is_empty());
        assert_eq!(self.header("content-type"), "application/json");
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["message"].as_str().unwrap().to_owned()
    }
}

/// A configuration with an endpoint and these keys more, each under its heading. One attempt a call and no breaker,
/// unless `more` has sections for them, so that a test sees what came of each.
pub fn config(endpoint: &str, more: &str) -> String {
    let off = ["retry", "breaker"].map(|policy| {
        if more.contains(&format!("[{policy}]")) {
            String::new()
        } else {
            format!("[{policy}]\nenabled = false\n")
        }
    });
    let off = off.concat();
    format!(
        r#"
        listen = "127.0.0.1:0"
        {off}
        [upstream]
        kind = "endpoint"
        endpoint = "{endpoint}"
        regions = ["us-east-1", "us-west-2"]
        {more}
        "#
    )
}

pub async fn post(address: SocketAddr, path: &str, body: impl Into<Bytes>) -> Answer {
    let request = Request::post(path).header("content-type", "application/json");
    let response = open(address, request.body(body.into()).unwrap()).await;
    read(response).await.unwrap()
}

/// Sends a request, on a connection of its own, and returns the head of the answer.
pub async fn open(address: SocketAddr, mut request: Request<Bytes>) -> Response<Incoming> {
    let path = request.uri().path_and_query().unwrap().as_str();
    *request.uri_mut() = format!("http://{address}{path}").parse().unwrap();
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http();
    soon(client.request(request.map(Full::new))).await.unwrap()
}

/// Reads an answer to its end.
pub async fn read(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let (parts, body) = response.into_parts();
    let body = soon(body.collect()).await?.to_bytes();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}

/// The next part of an answer; `None` at its end.
pub async fn next(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    let frame = soon(body.frame()).await?;
    Some(frame.map(|frame| frame.into_data().unwrap()))
}

/// What is to happen, given ample time also on a machine that has other things to do.
pub async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(60), future)
        .await
        .expect("it did not happen in 60 s")
}

/// Waits until it is so.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not so after 60 s: {what}");
}

/// The tasks that run in this test's runtime.
pub fn tasks() -> usize {
    runtime::Handle::current().metrics().num_alive_tasks()
}
