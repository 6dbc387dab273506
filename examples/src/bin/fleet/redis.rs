//! The store that the fleet meets in.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

/// The server that is there, or one that is started, and stopped when dropped.
pub(crate) struct Redis {
    pub(crate) url: String,
    server: Option<Child>,
}

impl Redis {
    pub(crate) fn find() -> Result<Self> {
        if let Ok(url) = env::var("REDIS_URL") {
            return Ok(Self { url, server: None });
        }
        // Another program may take the port that was found free.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            if let Some(redis) = Self::start(port)? {
                return Ok(redis);
            }
        }
        anyhow::bail!("redis-server does not start");
    }

    /// A server that is ready, or `None` where it ends before it is.
    fn start(port: u16) -> Result<Option<Self>> {
        let mut server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::piped())
            .spawn()
            .context("no redis-server: install it, or name one in REDIS_URL")?;
        let stdout = server.stdout.take().context("it was piped")?;
        let redis = Self {
            url: format!("redis://127.0.0.1:{port}"),
            server: Some(server),
        };
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        if !lines.any(|line| line.contains("Ready to accept connections")) {
            return Ok(None);
        }
        // What else it has to say is read, so that it never waits for a reader.
        thread::spawn(move || lines.for_each(drop));
        Ok(Some(redis))
    }

    /// How many calls of scripts it has counted: one is one round trip of a gateway's. Of a server of somebody else's
    /// they are not told.
    pub(crate) fn calls(&self) -> Result<u64> {
        let (Some(address), Some(_)) = (self.url.strip_prefix("redis://"), &self.server) else {
            return Ok(0);
        };
        let mut connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        connection.write_all(b"INFO commandstats\r\nQUIT\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let scripts = answer
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_eval")?.split_once(":calls="))
            .filter_map(|(_, counted)| counted.split(',').next()?.parse::<u64>().ok());
        Ok(scripts.sum())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
