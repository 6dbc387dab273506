//! A client that calls, waits too briefly, and vanishes now and then.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Incoming, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use crate::stage::{FALLBACK, MODEL};

const BODY: &[u8] = br#"{"messages":[{"role":"user","content":[{"text":"Name the four largest moons of Jupiter."}]}],"inferenceConfig":{"maxTokens":64}}"#;
/// How long a client waits for the next part of an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// What it says of that to the gateway.
const PATIENCE_SECONDS: &str = "4";
/// How long a call may go on before its client vanishes.
const LONGEST_STAY_MS: u64 = 200;
/// Longer than any call may take: by then it was answered, cut or given up.
const LONGEST_CALL: Duration = Duration::from_secs(60);
/// Between calls.
const LONGEST_PAUSE_MS: u64 = 100;

#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
}

/// What came of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) throttled: u64,
    failed: u64,
    broken: u64,
    vanished: u64,
    /// Ended as if it were whole, and was not.
    pub(crate) partial: u64,
    /// Never ended.
    pub(crate) stuck: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered,
    Throttled,
    Failed,
    /// By an exception in a stream, a cut, or the client's patience.
    Broken,
    Partial,
}

impl Client {
    pub(crate) const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub(crate) async fn call_until(self, until: Instant, seed: u64) -> Tally {
        let mut random = StdRng::seed_from_u64(seed);
        let mut tally = Tally::default();
        while Instant::now() < until {
            let streams = random.random_bool(0.6);
            let vanishes = random.random_bool(0.15);
            let stay = if vanishes {
                Duration::from_millis(random.random_range(0..LONGEST_STAY_MS))
            } else {
                LONGEST_CALL
            };
            match timeout(stay, self.call(MODEL, streams)).await {
                Err(_) if vanishes => tally.vanished += 1,
                Err(_) => tally.stuck += 1,
                Ok(Ok(end)) => tally.count(end),
                Ok(Err(_)) => tally.broken += 1,
            }
            sleep(Duration::from_millis(
                random.random_range(0..LONGEST_PAUSE_MS),
            ))
            .await;
        }
        tally
    }

    /// One call of each kind to each model, which must be answered.
    pub(crate) async fn call_undisturbed(&self) -> Result<()> {
        for model in [MODEL, FALLBACK] {
            for streams in [false, true] {
                let call = timeout(LONGEST_CALL, self.call(model, streams)).await;
                let end = call.context("a call was never answered")??;
                ensure!(end == End::Answered, "a call of {model} ended as {end:?}");
            }
        }
        Ok(())
    }

    /// On a connection of its own, which ends with it.
    async fn call(&self, model: &str, streams: bool) -> Result<End> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Dropped with this future, and the connection with it.
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let operation = if streams {
            "converse-stream"
        } else {
            "converse"
        };
        let path = format!("/model/{}/{operation}", model.replace(':', "%3A"));
        let request = Request::post(path)
            .header(HOST, self.address.to_string())
            .header("x-tower-bedrock-timeout", PATIENCE_SECONDS)
            .body(Full::new(Bytes::from_static(BODY)))?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let answer = read(response.into_body()).await?;
        Ok(match status {
            200 if is_whole(&answer, streams) => End::Answered,
            200 if contains(&answer, b":exception-type") => End::Broken,
            200 => End::Partial,
            429 => End::Throttled,
            _ => End::Failed,
        })
    }
}

/// A whole body, as patiently as a client is.
async fn read(mut body: Incoming) -> Result<Bytes> {
    let mut read = BytesMut::new();
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.context("too slow")? {
        if let Ok(data) = frame?.into_data() {
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

/// Whether the answer has its end.
fn is_whole(answer: &[u8], streams: bool) -> bool {
    if streams {
        contains(answer, b"messageStop") && contains(answer, b"metadata")
    } else {
        contains(answer, b"stopReason") && contains(answer, b"usage")
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

impl Tally {
    fn count(&mut self, end: End) {
        *match end {
            End::Answered => &mut self.answered,
            End::Throttled => &mut self.throttled,
            End::Failed => &mut self.failed,
            End::Broken => &mut self.broken,
            End::Partial => &mut self.partial,
        } += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.throttled += other.throttled;
        self.failed += other.failed;
        self.broken += other.broken;
        self.vanished += other.vanished;
        self.partial += other.partial;
        self.stuck += other.stuck;
    }

    pub(crate) fn print(self) {
        let Self {
            answered,
            throttled,
            failed,
            broken,
            vanished,
            partial,
            stuck,
        } = self;
        println!(
            "calls: {answered} answered, {throttled} throttled, {failed} failed, {broken} broken off, \
             {vanished} whose client vanished, {partial} partial, \
             {stuck} never answered"
        );
    }
}
