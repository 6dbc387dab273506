//! A real redis-server for a test, which starts it and stops it.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Names the server's program where it is not on the `PATH`. Valkey's does as well.
const PROGRAM: &str = "TOWER_BEDROCK_REDIS_SERVER";

/// A server of its own on a port of its own; killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    /// A replica leaves what it was sent in its folder, and whoever starts there reads it.
    _folder: TempDir,
}

impl RedisServer {
    /// An empty server that is ready.
    ///
    /// # Panics
    ///
    /// Where there is none to start.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more arguments.
    ///
    /// # Panics
    ///
    /// Where there is none to start.
    pub fn start_with(arguments: &[&str]) -> Self {
        // Another process may take the port that was found free.
        (0..10)
            .find_map(|_| Self::on(free_port(), arguments))
            .expect("redis-server does not start")
    }

    /// Starts a server on a port; `None` where it ends before it is ready.
    ///
    /// # Panics
    ///
    /// Where there is none to start.
    pub fn on(port: u16, arguments: &[&str]) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let mut child = Command::new(program())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "notice"])
            .args(["--logfile", "", "--dir", &folder.path().to_string_lossy()])
            .args(["--repl-diskless-sync-delay", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "these tests need redis-server, and it does not start: {error}. Install it (Debian: apt-get \
                     install redis-server), or name the program in {PROGRAM}"
                )
            });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("Ready to accept connections"));
        if !ready {
            let _ = child.wait();
            return None;
        }
        // Whatever else it has to say is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            child,
            port,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on just now.
///
/// # Panics
///
/// Where the machine has none left.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn program() -> String {
    env::var(PROGRAM).unwrap_or_else(|_| "redis-server".into())
}
