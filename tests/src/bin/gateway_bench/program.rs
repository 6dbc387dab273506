//! A program under test: started on a free port, killed when dropped.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Duration, sleep},
};

/// A running program that listens on an address.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
}

/// An address that nobody listens on at the moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Program {
    /// Starts the program that an environment variable names, with these settings more in its own environment, and waits
    /// until it listens.
    pub(crate) async fn start(
        variable: &str,
        address: SocketAddr,
        args: &[&str],
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let path = env::var_os(variable).with_context(|| {
            format!("{variable} is not set: start this by `cargo xtask bench gateway`")
        })?;
        let child = Command::new(&path)
            .args(args)
            // The gateway signs what it sends. The simulator takes any signature.
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env(
                "AWS_SECRET_ACCESS_KEY",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            )
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", path.display()))?;
        let mut program = Self { child, address };
        for _ in 0..200 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(program);
            }
            if let Some(status) = program.child.try_wait()? {
                bail!("{} {args:?} ended with {status}", path.display());
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("{} does not listen on {address}", path.display())
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one request, which must succeed.
    pub(crate) async fn request(&self, method: &str, path: &str, body: &'static str) -> Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .body(Full::new(Bytes::from_static(body.as_bytes())))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        let answer = String::from_utf8_lossy(&answer);
        ensure!(status.is_success(), "{method} {path}: {status} {answer}");
        connection.abort();
        Ok(())
    }

    /// The processor time used so far, where the system tells: Linux's `/proc`, in hundredths of a second.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The second field, the program's name, may have anything in it but ends with the last bracket.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_millis((user + system) * 10))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
