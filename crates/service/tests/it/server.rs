//! A server that answers as it is told, down to the byte.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::wire;

/// One answer: what to send, and then.
#[derive(Clone)]
pub(crate) struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    KeepAlive,
    Close,
    /// Say no more, and note when the client hangs up.
    Hang,
}

pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The Region that the request is signed for.
    pub(crate) fn region(&self) -> &str {
        self.headers["authorization"].split('/').nth(2).unwrap()
    }
}

#[derive(Default)]
struct Log {
    connections: AtomicUsize,
    requests: Mutex<Vec<Arc<Request>>>,
    hang_up: Notify,
}

pub(crate) struct Server {
    address: SocketAddr,
    log: Arc<Log>,
}

impl Reply {
    /// An answer with a body, kept alive.
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n{body}", body.len());
        Self {
            bytes: head.into_bytes(),
            then: Then::KeepAlive,
        }
    }

    /// What is no HTTP.
    pub(crate) fn raw(bytes: &str) -> Self {
        Self {
            bytes: bytes.as_bytes().to_vec(),
            then: Then::Close,
        }
    }

    pub(crate) fn json(body: &str) -> Self {
        Self::new(200, &[("content-type", "application/json")], body)
    }

    /// An error in Bedrock's wire form.
    pub(crate) fn error(status: u16, exception: &str, message: &str) -> Self {
        Self::new(
            status,
            &[
                ("content-type", "application/json"),
                (
                    "x-amzn-errortype",
                    &format!("{exception}:http://internal.amazon.com/coral/com.amazon.bedrock/"),
                ),
                ("x-amzn-requestid", "request-1"),
            ],
            &serde_json::json!({ "message": message }).to_string(),
        )
    }

    /// A whole stream of frames.
    pub(crate) fn stream(frames: &[Vec<u8>]) -> Self {
        let mut reply = Self::cut_stream(frames);
        reply.bytes.extend_from_slice(b"0\r\n\r\n");
        reply.then = Then::KeepAlive;
        reply
    }

    /// A stream whose connection closes after some frames.
    pub(crate) fn cut_stream(frames: &[Vec<u8>]) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
                    x-amzn-requestid: request-1\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut bytes = head.as_bytes().to_vec();
        for frame in frames {
            bytes.extend_from_slice(format!("{:x}\r\n", frame.len()).as_bytes());
            bytes.extend_from_slice(frame);
            bytes.extend_from_slice(b"\r\n");
        }
        Self {
            bytes,
            then: Then::Close,
        }
    }

    /// The first part of it, and then the connection closes.
    pub(crate) fn cut_at(mut self, bytes: usize) -> Self {
        self.bytes.truncate(bytes);
        self.then = Then::Close;
        self
    }

    /// All of it but its end, and then nothing.
    pub(crate) fn hang(mut self) -> Self {
        self.then = Then::Hang;
        self
    }

    /// Nothing at all.
    pub(crate) fn silence() -> Self {
        Self {
            bytes: Vec::new(),
            then: Then::Hang,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Server {
    /// Answers every request with the same.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// Answers with the least there is: an empty object, or a whole stream.
    pub(crate) async fn healthy() -> Self {
        Self::start(|request| {
            if request.path.ends_with("stream") {
                Reply::stream(&wire::whole())
            } else {
                Reply::json("{}")
            }
        })
        .await
    }

    pub(crate) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::<Log>::default();
        let (script, shared) = (Arc::new(script), Arc::clone(&log));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&shared)));
            }
        });
        Self { address, log }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Arc<Request>> {
        self.log.requests.lock().unwrap().clone()
    }

    /// The one request there was.
    pub(crate) fn only_request(&self) -> Arc<Request> {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "calls made");
        Arc::clone(&requests[0])
    }

    /// Waits until a client hangs up on a reply that hangs.
    pub(crate) async fn hang_up(&self) {
        self.log.hang_up.notified().await;
    }
}

async fn serve(
    stream: TcpStream,
    script: Arc<impl Fn(&Request) -> Reply>,
    log: Arc<Log>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let request = Arc::new(read(&mut stream).await?);
        log.requests.lock().unwrap().push(Arc::clone(&request));
        let reply = script(&request);
        stream.write_all(&reply.bytes).await?;
        match reply.then {
            Then::KeepAlive => {}
            Then::Close => return stream.shutdown().await,
            Then::Hang => {
                // Zero bytes or an error: either way the client is gone.
                let _ = stream.read(&mut [0]).await;
                log.hang_up.notify_one();
                return Ok(());
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Request {
        path,
        headers,
        body,
    })
}
