//! The binary: what it takes, what it says, and how it ends.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test's helpers are part of the test")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bedrock-sim"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends it, whatever becomes of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn it_says_when_it_is_ready_and_ends_when_told_to() {
    for signal in ["-INT", "-TERM"] {
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--time-scale",
            "60",
            "--seed",
            "7",
        ];
        let mut running = Running(command().args(arguments).spawn().unwrap());
        let mut line = String::new();
        let stdout = running.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line
            .trim_end()
            .strip_prefix("bedrock-sim is ready on http://")
            .unwrap_or_else(|| panic!("{line:?}"));

        let mut socket = TcpStream::connect(address).unwrap();
        let request = "GET /_sim/health HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("x-bedrock-sim: true"), "{answer}");

        let pid = running.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(running.0.wait().unwrap().success());
    }
}

fn fails(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = command().args(arguments).output().unwrap();
    assert!(!status.success(), "{arguments:?}");
    String::from_utf8(stderr).unwrap()
}

#[test]
fn what_it_cannot_do_it_says() {
    let missing = fails(&["--config", "no-such-file.toml"]);
    assert!(
        missing.contains("cannot read no-such-file.toml"),
        "{missing}"
    );
    let scale = fails(&["--time-scale", "0"]);
    assert!(scale.contains("time_scale"), "{scale}");
    let listen = fails(&["--listen", "everywhere"]);
    assert!(listen.contains("--listen"), "{listen}");
}
