//! An upstream that does byte for byte what a test tells it to.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::soon;

pub struct Fake {
    pub address: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    open: Arc<AtomicUsize>,
}

/// A request that was received, and the connection to answer it on.
pub struct Call {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    connection: Connection,
}

struct Connection {
    stream: BufReader<TcpStream>,
    calls: mpsc::UnboundedSender<Call>,
    open: Arc<AtomicUsize>,
}

impl Fake {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, calls) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let connection = Connection {
                    stream: BufReader::new(stream),
                    calls: sender.clone(),
                    open: Arc::clone(&counter),
                };
                tokio::spawn(connection.serve());
            }
        });
        Self {
            address,
            calls,
            open,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request.
    pub async fn call(&mut self) -> Call {
        soon(self.calls.recv()).await.unwrap()
    }

    /// Whether a request has come that nobody has looked at.
    pub fn was_called(&mut self) -> bool {
        self.calls.try_recv().is_ok()
    }

    /// Answers every call from now on with an empty object.
    pub fn answer_all(mut self) {
        tokio::spawn(async move {
            while let Some(call) = self.calls.recv().await {
                call.answer(200, &[], "{}").await;
            }
        });
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Sends these bytes. A client that has gone is no reason to fail.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let stream = self.connection.stream.get_mut();
        let _ = stream.write_all(bytes.as_ref()).await;
        let _ = stream.flush().await;
    }

    /// Sends a whole answer and keeps the connection for the next request.
    pub async fn answer(mut self, status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut head = format!(
            "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.send([head.as_bytes(), b"\r\n", body].concat()).await;
        tokio::spawn(self.connection.serve());
    }

    /// Sends the head of an event stream.
    pub async fn begin_stream(&mut self) {
        self.send(
            "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
             x-amzn-requestid: upstream-id\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await;
    }

    /// Sends a chunk of a chunked body. An empty one would end it, so there are none.
    pub async fn chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return;
        }
        let head = format!("{:x}\r\n", bytes.len());
        self.send([head.as_bytes(), bytes, b"\r\n"].concat()).await;
    }

    /// Ends a chunked body and keeps the connection for the next request.
    pub async fn end_stream(mut self) {
        self.send("0\r\n\r\n").await;
        tokio::spawn(self.connection.serve());
    }

    /// Closes the connection as a crash would.
    pub fn reset(self) {
        let _ = self.connection.stream.get_ref().set_zero_linger();
    }

    /// Closes the connection as a server that ends would.
    pub fn close(self) {}

    /// Waits until the other side has closed the connection.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = soon(self.connection.stream.read_to_end(&mut rest)).await;
    }
}

impl Connection {
    /// Reads one request and hands it over.
    async fn serve(mut self) {
        if let Some((request_line, headers, body)) = self.read().await {
            let mut words = request_line.split(' ').map(str::to_owned);
            let calls = self.calls.clone();
            let _ = calls.send(Call {
                method: words.next().unwrap(),
                path: words.next().unwrap(),
                headers,
                body,
                connection: self,
            });
        }
    }

    async fn read(&mut self) -> Option<(String, HeaderMap, Vec<u8>)> {
        let request_line = self.line().await?;
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((request_line, headers, body))
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}
