//! Every example, run as its first lines say.

#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// What a program prints that ends by itself.
fn printed(program: &str) -> String {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A program that serves until it is dropped.
struct Server {
    program: Child,
    address: String,
}

impl Server {
    fn start(program: &str) -> Self {
        let mut program = Command::new(program)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(program.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        Self {
            address: address.to_owned(),
            program,
        }
    }

    /// The answer to a request, head and body.
    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        write!(
            connection,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
    }
}

#[test]
fn axum_chat_streams_an_answer_and_says_whose_it_is() {
    let server = Server::start(env!("CARGO_BIN_EXE_axum_chat"));
    let page = server.ask("GET", "/", "");
    assert!(page.contains("<h1>Chat</h1>"), "{page}");
    // Two in five go to another model, so 30 that all do not are less than one run in a million.
    let fell_back = (0..30).any(|_| {
        let answer = server.ask("POST", "/chat", r#"{"message": "Say hello."}"#);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("event: model"), "{answer}");
        assert!(answer.contains("simulated"), "{answer}");
        assert!(answer.contains("event: end"), "{answer}");
        answer.contains("data: us.amazon.nova-lite-v1:0")
    });
    assert!(fell_back, "nothing but Claude");
}

#[test]
fn hyper_service_answers_with_text() {
    let server = Server::start(env!("CARGO_BIN_EXE_hyper_service"));
    let answer = server.ask("POST", "/", "Say hello.");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("This is a simulated answer"), "{answer}");
    // Bedrock refuses an empty prompt.
    let answer = server.ask("POST", "/", "");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[test]
fn own_client_is_retried_after_its_throttle() {
    let text = printed(env!("CARGO_BIN_EXE_own_client"));
    assert!(text.contains("This is a simulated answer"), "{text}");
    assert!(text.contains("after 2 calls"), "{text}");
}

#[test]
fn own_policy_bounds_the_output() {
    let text = printed(env!("CARGO_BIN_EXE_own_policy"));
    assert_eq!(text, "500 tokens of answer, 520 reserved of the quota\n");
}

#[test]
fn fleet_uses_its_quota_and_no_more() {
    let text = printed(env!("CARGO_BIN_EXE_fleet"));
    assert!(
        text.contains("285 calls of a quota of 300 a minute"),
        "{text}"
    );
    assert!(text.contains(", 0 throttled"), "{text}");
}

#[test]
fn batch_loses_no_prompt() {
    let text = printed(env!("CARGO_BIN_EXE_batch"));
    assert!(text.contains("200 prompts, 0 failed"), "{text}");
}

#[test]
fn batch_beside_chat_yields_and_loses_nothing() {
    let text = printed(env!("CARGO_BIN_EXE_batch_beside_chat"));
    assert!(text.contains("400 documents, 0 failed"), "{text}");
    assert!(text.contains("no call was throttled"), "{text}");
    // Of each minute: how many chats, how long the slowest took in seconds, and the documents left.
    let chatted: Vec<(f64, u32)> = text
        .lines()
        .filter_map(|line| {
            let columns: Vec<_> = line.split_whitespace().collect();
            let [_, _, slowest, left] = columns[..] else {
                return None;
            };
            Some((slowest.strip_suffix('s')?.parse().ok()?, left.parse().ok()?))
        })
        .collect();
    assert_eq!(chatted.len(), 4, "{text}");
    // As long as the model takes: whoever waits for the quota waits for longer.
    assert!(chatted.iter().all(|(slowest, _)| *slowest < 4.0), "{text}");
    // What was under way when they came has ended, and nothing else has begun.
    assert!(
        chatted.iter().all(|(_, left)| *left == chatted[0].1),
        "{text}"
    );
    assert!(chatted[0].1 > 100, "{text}");
}

#[test]
fn cached_outage_is_answered_from_the_cache() {
    let text = printed(env!("CARGO_BIN_EXE_cached_outage"));
    let rows: Vec<Vec<_>> = text
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let [bedrock, question, status, _, degraded, age] = row[..] else {
                panic!("{text}");
            };
            (bedrock, question, status, degraded, age != "-")
        })
        .collect();
    let expected = [
        ("up", "tides", "200", "-", false),
        ("up", "seasons", "200", "-", false),
        ("down", "tides", "200", "true", true),
        ("down", "seasons", "200", "true", true),
        ("down", "comets", "503", "-", false),
        ("up", "tides", "200", "-", false),
    ];
    assert_eq!(told, expected, "{text}");
}

#[test]
fn cloudwatch_is_told_of_calls_and_throttles() {
    let text = printed(env!("CARGO_BIN_EXE_cloudwatch"));
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sum = |metric: &str, fault: Option<&str>| -> f64 {
        lines
            .iter()
            .filter(|line| line["ModelId"] == "amazon.nova-lite-v1:0")
            .filter(|line| line["Fault"].as_str() == fault)
            .filter_map(|line| line[metric].as_f64())
            .sum()
    };
    // How long each waits before it tries again is drawn, so one may draw too little five times.
    assert_eq!(sum("Requests", None), 24.0, "{text}");
    assert_eq!(
        sum("Invocations", None) + sum("RequestErrors", None),
        24.0,
        "{text}"
    );
    let throttles = sum("InvocationThrottles", Some("throttled_requests"));
    assert!(throttles > 0.0, "{text}");
    // Rolled up, for an alarm to watch.
    assert_eq!(sum("InvocationThrottles", None), throttles, "{text}");
}
