use std::{net::SocketAddr, time::Duration};

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use bedrock_sim::{Config, Simulator, http::serve};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) const CLAUDE: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";
pub(crate) const NOVA: &str = "us.amazon.nova-lite-v1:0";

/// Latencies of seconds pass in milliseconds.
pub(crate) const TIME_SCALE: f64 = 1_000.0;

/// A simulator that is being served, and a client of it.
pub(crate) struct Server {
    pub(crate) simulator: Simulator,
    pub(crate) address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let simulator = Simulator::new(Config {
            time_scale: TIME_SCALE,
            ..config
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, simulator.clone(), stopped));
        Self {
            simulator,
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
            stop: Some(stop),
            served,
        }
    }

    /// A client that begins with HTTP/2.
    pub(crate) fn speak_http2(&mut self) {
        self.client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(Full::from(body.to_owned()))
            .unwrap()
    }

    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        self.client.request(request).await
    }

    pub(crate) async fn exchange(&self, request: Request<Full<Bytes>>) -> Answer {
        Answer::read(self.send(request).await.unwrap()).await
    }

    /// An operation of a model's, with a body as it is.
    pub(crate) async fn post(&self, model: &str, operation: &str, body: &str) -> Answer {
        let path = format!("/model/{}/{operation}", encode(model));
        self.exchange(self.request(Method::POST, &path, body)).await
    }

    pub(crate) async fn call(&self, model: &str, operation: &str, body: &Value) -> Answer {
        self.post(model, operation, &body.to_string()).await
    }

    /// The response to a stream, its body not read yet.
    pub(crate) async fn open(&self, model: &str, operation: &str, body: &Value) -> Incoming {
        let path = format!("/model/{}/{operation}", encode(model));
        let request = self.request(Method::POST, &path, &body.to_string());
        let response = self.send(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body()
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: &Value) -> Answer {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.exchange(self.request(method, path, &body)).await
    }

    /// Scripts a fault for the next call.
    pub(crate) async fn fault(&self, mut fault: Value) {
        fault["times"] = json!(1);
        let answer = self.control(Method::POST, "/_sim/faults", &fault).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Waits until the last call in the ledger is there with such an outcome.
    pub(crate) async fn last_call_is(&self, outcome: &str) {
        let ended = async {
            while self
                .simulator
                .ledger()
                .entries
                .last()
                .is_none_or(|entry| entry.outcome != outcome)
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ended)
            .await
            .unwrap_or_else(|_| panic!("not {outcome}: {:?}", self.simulator.ledger()));
    }

    /// Drops the server's future in the middle of whatever it does.
    pub(crate) fn abort(&self) {
        self.served.abort();
    }

    pub(crate) async fn shut_down(mut self) -> std::io::Result<()> {
        let _ = self.stop.take().unwrap().send(());
        self.served.await.unwrap()
    }
}

impl Answer {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    /// Checks the wire form of an exception.
    #[track_caller]
    pub(crate) fn is_exception(&self, status: u16, name: &str, message: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(
            self.header("x-amzn-errortype"),
            format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),
        );
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("x-bedrock-sim"), "true");
        assert_eq!(self.header("x-amzn-requestid").len(), 36);
        let body = self.json();
        let said = body["message"].as_str().unwrap();
        assert!(said.contains(message), "{said:?} does not say {message:?}");
    }

    pub(crate) fn frames(&self) -> Vec<Message> {
        decode(&self.body).unwrap()
    }
}

/// Every whole message in some bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Message>, aws_smithy_eventstream::error::Error> {
    let mut decoder = MessageFrameDecoder::new();
    let mut buffer = BytesMut::from(bytes);
    let mut messages = Vec::new();
    while let DecodedFrame::Complete(message) = decoder.decode_frame(&mut buffer)? {
        messages.push(message);
    }
    Ok(messages)
}

pub(crate) fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    message
        .headers()
        .iter()
        .find(|header| header.name().as_str() == name)
        .unwrap_or_else(|| panic!("no {name}: {message:?}"))
        .value()
        .as_string()
        .unwrap()
        .as_str()
}

pub(crate) fn payload(message: &Message) -> Value {
    serde_json::from_slice(message.payload()).unwrap()
}

/// As the SDKs encode an id in a path.
pub(crate) fn encode(model: &str) -> String {
    model.replace(':', "%3A").replace('/', "%2F")
}

pub(crate) fn hello() -> Value {
    json!({
        "messages": [{ "role": "user", "content": [{ "text": "Hello there." }] }],
        "inferenceConfig": { "maxTokens": 10 },
    })
}

pub(crate) fn hello_anthropic() -> Value {
    json!({
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 10,
        "messages": [{ "role": "user", "content": "Hello there." }],
    })
}

pub(crate) fn hello_nova() -> Value {
    json!({
        "schemaVersion": "messages-v1",
        "messages": [{ "role": "user", "content": [{ "text": "Hello there." }] }],
        "inferenceConfig": { "max_new_tokens": 10 },
    })
}
