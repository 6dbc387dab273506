//! Clients of one gateway who wait for one quota: a more urgent class goes first, and in a class each has its share.

use std::{fmt::Write, time::Duration};

use bedrock_gateway::Signer;
use http::Request;
use sha2::{Digest, Sha256};
use tokio::{task::JoinSet, time::Instant};
use tower_bedrock_core::Target;

use crate::support::{
    self, Answer, CONVERSE, Clock, MODEL, Running, Simulated, config, eventually,
};

/// A gateway with these clients, the name of each being its key.
struct Shared {
    simulated: Simulated,
    gateway: Running,
    clock: Clock,
    /// When the quota was used, call by call.
    used: Vec<Instant>,
    waiting: JoinSet<Answer>,
}

impl Shared {
    /// Its quota is used up by `calls`, one every `EVERY`, and comes back in the same way, beginning some twenty seconds
    /// from now: longer than it takes to have calls wait.
    async fn new(clients: &[(&str, &str)], calls: u32) -> Self {
        let mut more = format!("[[quota]]\nrequests_per_minute = {calls}\n");
        for (name, settings) in clients.iter().chain([&("first", "")]) {
            let hash = hex::encode(Sha256::digest(name));
            writeln!(
                more,
                "[[client]]\nname = {name:?}\nkey_sha256 = {hash:?}\n{settings}"
            )
            .unwrap();
        }
        let clock = Clock::start();
        let simulated = Simulated::new("requests_per_minute = \"none\"").await;
        let gateway = Running::start(&config(&simulated.url(), &more), Signer::nobody()).await;
        let mut used = Vec::new();
        for _ in 0..calls {
            let answer = gateway.send(request("first", 1)).await;
            assert_eq!(answer.status, 200);
            used.push(Instant::now());
            clock.leap(EVERY).await;
        }
        let waits = used[0] + Duration::from_secs(40);
        clock
            .leap(waits.saturating_duration_since(Instant::now()))
            .await;
        Self {
            simulated,
            gateway,
            clock,
            used,
            waiting: JoinSet::new(),
        }
    }

    /// Has a call of a client wait behind those that do already. Calls are told apart by how much they may answer.
    async fn waits(&mut self, client: &str, max_tokens: u32) {
        let address = self.gateway.address;
        let request = request(client, max_tokens);
        self.waiting.spawn(async move {
            support::read(support::open(address, request).await)
                .await
                .unwrap()
        });
        let limiter = self.gateway.handle.limiter();
        let target = Target::parse("us-east-1", MODEL).unwrap();
        let expected = self.waiting.len() as u64;
        eventually("it waits", || {
            let snapshot = limiter.snapshot(&target).unwrap();
            snapshot.waiting.iter().sum::<u64>() == expected
        })
        .await;
    }

    /// The order in which all that wait are sent on, as the room comes back for one after the other.
    async fn order(mut self) -> Vec<u64> {
        let before = self.simulated.calls().len();
        let waiting = self.waiting.len();
        for number in 1..=waiting {
            // A minute, and what calls may be late by.
            let back = self.used[number - 1] + Duration::from_secs(61);
            let wait = back.saturating_duration_since(Instant::now());
            self.clock.leap(wait).await;
            let simulated = &self.simulated;
            eventually("one more is sent on", || {
                simulated.calls().len() == before + number
            })
            .await;
        }
        while let Some(answer) = self.waiting.join_next().await {
            assert_eq!(answer.unwrap().status, 200);
        }
        let calls = self.simulated.calls();
        calls[before..].iter().map(|call| call.max_tokens).collect()
    }
}

/// Apart by more than a slow machine takes to send a call.
const EVERY: Duration = Duration::from_secs(4);

fn request(client: &str, max_tokens: u32) -> Request<bytes::Bytes> {
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"text":"Hi"}}]}}],"inferenceConfig":{{"maxTokens":{max_tokens}}}}}"#
    );
    Request::post(CONVERSE)
        .header("authorization", format!("Bearer {client}"))
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn people_go_before_batch_work_that_has_waited_longer() {
    let clients = [
        ("nightly", "priority = \"batch\""),
        ("chat", "priority = \"interactive\""),
        ("reports", ""),
    ];
    let mut shared = Shared::new(&clients, 5).await;
    for (client, max_tokens) in [
        ("nightly", 31),
        ("nightly", 32),
        ("reports", 21),
        ("chat", 11),
        ("chat", 12),
    ] {
        shared.waits(client, max_tokens).await;
    }
    assert_eq!(shared.order().await, [11, 12, 21, 31, 32]);
}

#[tokio::test]
async fn who_has_three_times_the_share_gets_three_times_as_much() {
    let clients = [("large", "share = 3"), ("small", "share = 1")];
    let mut shared = Shared::new(&clients, 8).await;
    for _ in 0..4 {
        shared.waits("small", 10).await;
    }
    for _ in 0..4 {
        shared.waits("large", 11).await;
    }
    let order = shared.order().await;
    let of_large = order[..4].iter().filter(|tokens| **tokens == 11).count();
    assert_eq!(of_large, 3, "{order:?}");
}
