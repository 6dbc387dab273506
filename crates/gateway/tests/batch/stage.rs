//! A simulator, a folder, and runs of the program in it.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use bedrock_sim::{Config, Simulator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

/// A simulator of one fast model, and a folder with an input.
pub(crate) struct Stage {
    /// The simulator serves for as long as it is there.
    _runtime: Runtime,
    pub(crate) simulator: Simulator,
    upstream: String,
    folder: TempDir,
}

pub(crate) const MODEL: &str = "acme.fast-v1:0";
pub(crate) const CONCURRENCY: usize = 8;

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with_models(&[])
    }

    /// With more of such models.
    pub(crate) fn with_models(models: &[String]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let models = models.iter().map(String::as_str).chain([MODEL]);
        let config: String = models
            .map(|model| {
                format!(
                    "[models.{model:?}]\ntime_to_first_token_ms = 1\ntokens_per_second = 1000000\noutput_tokens = 3\n"
                )
            })
            .collect();
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("out")).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn command(&self) -> Command {
        self.command_for(MODEL)
    }

    pub(crate) fn command_for(&self, model: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bedrock-gateway"));
        command
            .args(["batch", "in", "out", "--invocation-type", "Converse"])
            .args(["--model", model, "--upstream", &self.upstream])
            .args(["--concurrency", &CONCURRENCY.to_string()])
            .current_dir(self.folder.path())
            .env("AWS_ACCESS_KEY_ID", "any")
            .env("AWS_SECRET_ACCESS_KEY", "any")
            .env("RUST_LOG", "off")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    pub(crate) fn succeed(&self) -> String {
        let output = self.run();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

pub(crate) fn record(number: usize) -> Value {
    let text = format!("Summarise document {number}.");
    json!({
        "recordId": format!("REC{number:08}"),
        "modelInput": {
            "messages": [{"role": "user", "content": [{"text": text}]}],
            "inferenceConfig": {"maxTokens": 20},
        },
    })
}

pub(crate) fn records(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", record(number)).unwrap();
        text
    })
}

/// A run that is killed when it is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn has_ended(&mut self) -> bool {
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

/// Looks every millisecond, because a file that grows tells nobody.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never held");
}
