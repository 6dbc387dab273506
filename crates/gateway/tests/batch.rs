//! `bedrock-gateway batch`, as it is started.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use bedrock_sim::{Config, FaultName, FaultSpec, Simulator};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

/// A simulator of one fast model, and a folder with an input.
struct Stage {
    /// The simulator serves for as long as it is there.
    _runtime: Runtime,
    simulator: Simulator,
    upstream: String,
    folder: TempDir,
}

const MODEL: &str = "acme.fast-v1:0";
const CONCURRENCY: usize = 32;

impl Stage {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = format!(
            "[models.{MODEL:?}]\ntime_to_first_token_ms = 1\ntokens_per_second = 1000000\noutput_tokens = 3"
        );
        let simulator = Simulator::new(Config::from_toml(&config).unwrap()).unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(bedrock_sim::http::serve(
            listener,
            simulator.clone(),
            std::future::pending::<()>(),
        ));
        Self {
            _runtime: runtime,
            simulator,
            upstream,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("out")).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bedrock-gateway"));
        command
            .args(["batch", "in", "out", "--invocation-type", "Converse"])
            .args(["--model", MODEL, "--upstream", &self.upstream])
            .args(["--concurrency", &CONCURRENCY.to_string()])
            .current_dir(self.folder.path())
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("RUST_LOG", "off")
            .stdin(Stdio::null());
        command
    }

    fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    fn succeed(&self) -> String {
        let output = self.run();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn record(number: usize) -> Value {
    let text = format!("Summarise document {number}.");
    json!({
        "recordId": format!("REC{number:08}"),
        "modelInput": {
            "messages": [{"role": "user", "content": [{"text": text}]}],
            "inferenceConfig": {"maxTokens": 20},
        },
    })
}

fn records(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", record(number)).unwrap();
        text
    })
}

/// The error of the record with an id, which is its exception, and what it says.
fn error_of(lines: &[Value], id: &str) -> (u64, String) {
    let line = lines.iter().find(|line| line["recordId"] == id).unwrap();
    assert!(line.get("modelOutput").is_none());
    let error = &line["error"];
    let message = error["errorMessage"].as_str().unwrap();
    (error["errorCode"].as_u64().unwrap(), message.to_owned())
}

#[test]
fn every_record_comes_out_with_its_answer() {
    let stage = Stage::new();
    stage.write("in", &records(20));
    let said = stage.succeed();
    assert!(
        said.starts_with("20 records: 20 answered and 0 failed"),
        "{said}"
    );
    let lines = stage.lines();
    assert_eq!(lines.len(), 20);
    for line in &lines {
        let id = line["recordId"].as_str().unwrap();
        let number: usize = id["REC".len()..].parse().unwrap();
        assert_eq!(line["modelInput"], record(number)["modelInput"]);
        let output = &line["modelOutput"];
        assert_eq!(output["usage"]["outputTokens"], 3, "{line}");
        assert!(line.get("error").is_none());
    }
    // Done is done.
    let said = stage.succeed();
    assert!(
        said.contains("20 finished before it, 0 left; 0 tokens"),
        "{said}"
    );
    assert_eq!(stage.simulator.ledger().entries.len(), 20);
    assert_eq!(stage.lines(), lines);
}

#[test]
fn what_cannot_be_answered_comes_out_with_its_error() {
    let stage = Stage::new();
    let mut input = records(3);
    input += "no record\n\n";
    writeln!(input, "{}", record(1)).unwrap();
    input += r#"{"recordId": "BAD", "modelInput": {"messages": []}}"#;
    stage.write("in", &input);
    let said = stage.succeed();
    assert!(
        said.starts_with("6 records: 3 answered and 3 failed"),
        "{said}"
    );
    let lines = stage.lines();
    let (code, message) = error_of(&lines, "LINE0000004");
    assert_eq!(code, 400);
    assert!(
        message.starts_with("ValidationException: line 4: not a JSON object"),
        "{message}"
    );
    let (code, message) = error_of(&lines, "BAD");
    assert_eq!(code, 400);
    assert!(message.starts_with("ValidationException: "), "{message}");
    let twice: Vec<_> = lines
        .iter()
        .filter(|line| line["recordId"] == "REC00000001")
        .collect();
    assert_eq!(twice.len(), 2);
    let refused = twice
        .iter()
        .find(|line| line.get("error").is_some())
        .unwrap();
    let message = refused["error"]["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with("line 6: recordId: line 2 has the same"),
        "{message}"
    );
    assert_eq!(refused["modelInput"], record(1)["modelInput"]);
    // None of them again.
    let said = stage.succeed();
    assert!(said.contains("6 finished before it, 0 left"), "{said}");
    assert_eq!(stage.lines(), lines);
}

#[test]
fn an_error_of_bedrocks_is_told_as_bedrock_said_it() {
    let stage = Stage::new();
    let mut fault = FaultSpec::new(FaultName::ModelError);
    fault.message = Some("It broke.".to_owned());
    stage.simulator.add_fault(fault).unwrap();
    stage.write("in", &records(1));
    let output = stage
        .command()
        .args(["--max-attempts", "1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let error = error_of(&stage.lines(), "REC00000000");
    assert_eq!(error, (424, "ModelErrorException: It broke.".to_owned()));
}

#[test]
fn an_output_of_something_else_is_left_as_it_is() {
    let stage = Stage::new();
    stage.write("in", &records(2));
    let other = r#"{"recordId":"REC00000000","modelInput":{},"modelOutput":{}}"#;
    for text in [
        "dear diary".to_owned(),
        "dear diary\n".to_owned(),
        "\0dear diary\n".to_owned(),
        format!("{other}\n"),
        records(2),
    ] {
        stage.write("out", &text);
        let output = stage.run();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("out: line 1 answers no record of the input"),
            "{said}"
        );
        assert_eq!(fs::read_to_string(stage.path("out")).unwrap(), text);
    }
    assert_eq!(stage.simulator.ledger().entries, []);
}

#[test]
fn a_flag_that_cannot_be_is_refused_by_name() {
    let stage = Stage::new();
    stage.write("in", &records(1));
    let mut command = stage.command();
    let output = command.args(["--max-attempts", "0"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("--max-attempts is 0: expected 1 or more"),
        "{said}"
    );
}

#[test]
fn a_torn_line_is_cut_off_and_its_record_done_again() {
    let stage = Stage::new();
    stage.write("in", &records(3));
    stage.succeed();
    let whole = fs::read_to_string(stage.path("out")).unwrap();
    let last_line = whole.trim_end().rfind('\n').unwrap() + 1;
    // Wherever it was cut: after a byte, in the middle, before its line break.
    for cut in [last_line + 1, last_line + 40, whole.len() - 1] {
        stage.write("out", &whole[..cut]);
        let said = stage.succeed();
        assert!(
            said.contains("1 answered and 0 failed in this run, 2 finished"),
            "{said}"
        );
        assert_eq!(stage.lines().len(), 3);
        let now = fs::read_to_string(stage.path("out")).unwrap();
        assert_eq!(now[..last_line], whole[..last_line]);
    }
    // The very first line, too.
    stage.write("out", &whole[..20]);
    stage.succeed();
    assert_eq!(stage.lines().len(), 3);
}

#[test]
fn what_a_power_cut_left_of_a_line_is_cut_off_too() {
    let stage = Stage::new();
    stage.write("in", &records(3));
    stage.succeed();
    let whole = fs::read_to_string(stage.path("out")).unwrap();
    let last_line = whole.trim_end().rfind('\n').unwrap() + 1;
    let nuls = "\0".repeat(5000);
    for (kept, finished) in [
        (whole.len(), 3),
        (last_line, 2),
        (last_line + 40, 2),
        (whole.len() - 1, 2),
        (0, 0),
    ] {
        // What followed may have come to disk before it.
        for rest in ["", "of a line\"}}\n"] {
            if (kept, rest.is_empty()) == (0, false) {
                continue;
            }
            stage.write("out", &format!("{}{nuls}{rest}", &whole[..kept]));
            let said = stage.succeed();
            assert!(said.contains(&format!("{finished} finished")), "{said}");
            assert_eq!(stage.lines().len(), 3);
        }
    }
}

#[test]
fn line_breaks_between_tokens_are_no_lines() {
    let stage = Stage::new();
    let input = record(0).to_string().replace("{\"text\"", "\r{\r\"text\"");
    assert!(input.contains('\r'));
    stage.write("in", &format!("{input}\r\n"));
    stage.succeed();
    assert!(
        !fs::read_to_string(stage.path("out"))
            .unwrap()
            .contains('\r')
    );
    let said = stage.succeed();
    assert!(said.contains("1 finished before it, 0 left"), "{said}");
}

/// Another release may say it otherwise.
#[test]
fn a_refusal_is_known_again_however_it_is_worded() {
    let stage = Stage::new();
    let input = format!("no record\n{}\n{}\n", record(1), record(1));
    stage.write("in", &input);
    stage.succeed();
    let whole = fs::read_to_string(stage.path("out")).unwrap();
    let reworded = whole
        .replace("not a JSON object", "of no kind that we know")
        .replace("has the same", "came first with it");
    assert_ne!(whole, reworded);
    stage.write("out", &reworded);
    let said = stage.succeed();
    assert!(said.contains("3 finished before it, 0 left"), "{said}");
    // The first of two with one id is none of them.
    let refusals: String = reworded
        .lines()
        .filter(|line| line.contains("\"error\""))
        .map(|line| format!("{line}\n"))
        .collect();
    stage.write("out", &refusals);
    let said = stage.succeed();
    assert!(said.starts_with("3 records: 1 answered"), "{said}");
}

#[cfg(unix)]
#[test]
fn an_input_that_can_be_read_only_once_is_refused() {
    let stage = Stage::new();
    std::os::unix::fs::symlink("/dev/null", stage.path("in")).unwrap();
    let output = stage.run();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot read the input: "), "{said}");
    assert!(said.contains("regular file"), "{said}");
}

#[test]
fn an_input_that_changes_ends_the_run() {
    let stage = Stage::new();
    stage.write("in", &records(3));
    stage.write(
        "config.toml",
        "[timeout]\nattempt = \"100ms\"\nrequest = \"100ms\"\nfirst_event = \"100ms\"\n",
    );
    let hang = FaultSpec::new(FaultName::Hang);
    stage.simulator.add_fault(hang).unwrap();
    let mut command = stage.command();
    let command = command.args(["--max-attempts", "1000", "--config", "config.toml"]);
    let running = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(running);
    // What was read before is read again for every attempt.
    eventually(|| !stage.simulator.ledger().entries.is_empty());
    stage.write("in", "");
    eventually(|| running.has_ended());
    let mut said = String::new();
    let stderr = running.0.stderr.as_mut().unwrap();
    std::io::Read::read_to_string(stderr, &mut said).unwrap();
    assert!(
        said.contains("cannot read the input: it has changed"),
        "{said}"
    );
}

struct Running(Child);

impl Running {
    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SIGKILL, where there is such a thing.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn killed_a_hundred_times_it_answers_each_of_ten_thousand_once() {
    const RECORDS: usize = 10_000;
    const KILLS: usize = 100;
    /// No line of the output is shorter.
    const LINE_BYTES: u64 = 350;
    let stage = Stage::new();
    let input: Vec<_> = records(RECORDS).lines().map(str::to_owned).collect();
    let mut random = StdRng::seed_from_u64(7);
    let out = stage.path("out");
    let written = || fs::metadata(&out).map_or(0, |file| file.len());
    let mut kills = 0;
    for run in 1..=KILLS {
        // However late this thread looks, something is left to the run that it kills: one call is never answered. And
        // something is left to the runs after it, whose records are not there yet.
        let there = RECORDS / KILLS * run;
        stage.write("in", &(input[..there].join("\n") + "\n"));
        stage.simulator.clear_faults();
        let mut hang = FaultSpec::new(FaultName::Hang);
        hang.times = Some(1);
        stage.simulator.add_fault(hang).unwrap();
        let mut command = stage.command();
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let before = written();
        let mut running = Running(command.spawn().unwrap());
        // Wherever it is when it has written so much: in the middle of a line as well as between two.
        let more = random.random_range(0..(RECORDS / KILLS - 1) as u64 * LINE_BYTES);
        eventually(|| written() >= before + more || running.has_ended());
        // A call of the run before it may come late, and be the one without an answer.
        kills += usize::from(!running.has_ended());
        drop(running);
    }
    // In most runs nothing of the run before comes so late.
    assert!(kills > KILLS / 2, "{kills}");
    stage.simulator.clear_faults();
    stage.succeed();
    let lines = stage.lines();
    let mut times: HashMap<&str, usize> = HashMap::new();
    for line in &lines {
        assert!(line.get("modelOutput").is_some(), "{line}");
        *times.entry(line["recordId"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!((lines.len(), times.len()), (RECORDS, RECORDS));
    // Paid for twice: no more than were under way when it was killed.
    let calls = stage.simulator.ledger().entries.last().unwrap().seq as usize + 1;
    println!("{calls} calls for {RECORDS} records and {kills} kills");
    assert!(calls <= RECORDS + KILLS * CONCURRENCY, "{calls}");
}

/// Looks every millisecond, because a file that grows tells nobody.
fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never held");
}
