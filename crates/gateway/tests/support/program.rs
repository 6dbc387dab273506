//! The program itself, started with a configuration and killed with the test.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::soon;

pub struct Program {
    pub address: SocketAddr,
    pub metrics_address: Option<SocketAddr>,
    child: Child,
    // Kept open: the program may still print.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it with this configuration and these environment variables, and waits until it says that it serves, and
    /// where: no port that a test chooses is sure to be free.
    pub async fn start(toml: &str, env: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let file = format!("bedrock-gateway-{}-{number}.toml", std::process::id());
        let file = std::env::temp_dir().join(file);
        std::fs::write(&file, toml).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bedrock-gateway"))
            .arg("--config")
            .arg(&file)
            // Without an identity it would look for one on the network.
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "canary-secret")
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut metrics_address = None;
        let address = loop {
            let line = soon(stdout.next_line()).await.unwrap();
            let line = line.expect("it has ended");
            let address = |start| line.strip_prefix(start)?.split('/').next()?.parse().ok();
            if let Some(metrics) = address("Metrics are read at http://") {
                metrics_address = Some(metrics);
            }
            if let Some(address) = address("bedrock-gateway is ready on http://") {
                break address;
            }
        };
        std::fs::remove_file(file).unwrap();
        Self {
            address,
            metrics_address,
            child,
            _stdout: stdout,
        }
    }

    /// Asks it to stop.
    pub async fn terminate(&self) {
        let id = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").arg(id).status();
        assert!(kill.await.unwrap().success());
    }

    /// Waits until it has ended.
    pub async fn ended(mut self) -> ExitStatus {
        soon(self.child.wait()).await.unwrap()
    }
}
