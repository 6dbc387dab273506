//! Runs that are killed, again and again.

use std::{collections::HashMap, fs, process::Stdio};

use bedrock_sim::{FaultName, FaultSpec};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::stage::{CONCURRENCY, Running, Stage, eventually, records};

/// (Ten thousand messages are the queue's own test; here each start reads what was written before.) Each run is one of a
/// model of its own, so that a call of the run before it that comes late cannot be taken for its own.
#[test]
fn killed_a_hundred_times_it_answers_each_record_once() {
    const RECORDS: usize = 2_000;
    const KILLS: usize = 100;
    /// No line of the output is shorter.
    const LINE_BYTES: u64 = 350;
    let models = (1..=KILLS).map(|run| format!("acme.fast-{run}-v1:0"));
    let models: Vec<_> = models.collect();
    let stage = Stage::with_models(&models);
    let input: Vec<_> = records(RECORDS).lines().map(str::to_owned).collect();
    let mut random = StdRng::seed_from_u64(7);
    let out = stage.path("out");
    let written = || fs::metadata(&out).map_or(0, |file| file.len());
    for (model, run) in models.iter().zip(1..) {
        // However late this thread looks, something is left to the run that it kills: one call is never answered. And
        // something is left to the runs after it, whose records are not there yet.
        let there = RECORDS / KILLS * run;
        stage.write("in", &(input[..there].join("\n") + "\n"));
        let mut hang = FaultSpec::new(FaultName::Hang).for_model(model);
        hang.times = Some(1);
        stage.simulator.add_fault(hang).unwrap();
        let mut command = stage.command_for(model);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let before = written();
        let mut running = Running(command.spawn().unwrap());
        // Wherever it is when it has written so much: in the middle of a line as well as between two.
        let more = random.random_range(0..(RECORDS / KILLS - 1) as u64 * LINE_BYTES);
        let is_under_way = || {
            let ledger = stage.simulator.ledger().entries;
            let mut calls = ledger.iter().rev();
            calls.any(|call| call.model.as_str() == model && call.outcome == "in_flight")
        };
        eventually(|| written() >= before + more && is_under_way());
        assert!(!running.has_ended(), "run {run} has ended by itself");
    }
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
    println!("{calls} calls for {RECORDS} records and {KILLS} kills");
    assert!(calls >= RECORDS + KILLS, "each kill cost a call at least");
    assert!(calls <= RECORDS + KILLS * CONCURRENCY, "{calls}");
}
