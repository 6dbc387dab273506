//! `bedrock-gateway batch`, as it is started.

#![allow(clippy::unwrap_used)]

mod killed;
mod stage;

use std::{fmt::Write as _, fs, process::Stdio};

use bedrock_sim::{FaultName, FaultSpec};
use serde_json::Value;

use crate::stage::{MODEL, Running, Stage, eventually, record, records};

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

/// Another model's answer would pass for the one's that was asked.
#[test]
fn a_record_is_answered_by_its_model_or_not_at_all() {
    let other = "acme.other-v1:0";
    let stage = Stage::with_models(&[other.to_owned()]);
    let fault = FaultSpec::new(FaultName::ModelError);
    stage.simulator.add_fault(fault.for_model(MODEL)).unwrap();
    stage.write("in", &records(1));
    stage.write(
        "gateway.toml",
        &format!("[cache]\n[[fallback]]\nmodel = {MODEL:?}\nchain = [{{ model = {other:?} }}]\n"),
    );
    let mut command = stage.command();
    command.args(["--max-attempts", "1", "--config", "gateway.toml"]);
    assert!(command.status().unwrap().success());
    let (code, message) = error_of(&stage.lines(), "REC00000000");
    assert_eq!(code, 424, "{message}");
    let ledger = stage.simulator.ledger().entries;
    assert!(ledger.iter().all(|call| *call.model == *MODEL));
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
