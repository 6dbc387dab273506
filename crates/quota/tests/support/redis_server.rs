//! A real redis-server for a test, which starts it and stops it.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use tempfile::TempDir;

/// Names the server's program where it is not on the `PATH`. Valkey's does as well.
const PROGRAM: &str = "TOWER_BEDROCK_REDIS_SERVER";

/// Older ones do not know all the settings.
const DOES_NOT_START: &str = "redis-server does not start: is it of Redis 7 or later, or Valkey?";

/// More than a server takes to be ready on a machine with other things to do.
const LONG: Duration = Duration::from_secs(60);

/// A server of its own on a port of its own; killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    /// Ends the server when the test is killed, and closes its input thereby.
    watcher: Child,
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
            .expect(DOES_NOT_START)
    }

    /// Starts a server on a port; `None` where it ends before it is ready.
    ///
    /// # Panics
    ///
    /// Where there is none to start.
    pub fn on(port: u16, arguments: &[&str]) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let mut command = Command::new(program());
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "notice"])
            .args(["--logfile", "", "--dir", &folder.path().to_string_lossy()])
            .args(["--repl-diskless-sync-delay", "0"])
            .args(arguments);
        Self::run(&mut command, "Ready to accept connections", port, folder)
    }

    /// Whether it is built with TLS: Debian's is, one built by oneself may not be.
    ///
    /// # Panics
    ///
    /// Where there is none to start.
    pub fn has_tls() -> bool {
        // It ends either way: with nowhere to listen, or without having understood.
        let mut command = Command::new(program());
        command.args(["--port", "0", "--tls-port", "0"]);
        let output = command.output().unwrap_or_else(|error| missing(&error));
        let [said, failed] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
        !format!("{said}{failed}").contains("Bad directive")
    }

    /// A node of a cluster that has no other yet.
    ///
    /// # Panics
    ///
    /// Where there is none to start.
    pub fn node() -> Self {
        Self::node_with(&[])
    }

    /// The same, with more arguments.
    ///
    /// # Panics
    ///
    /// Where there is none to start.
    pub fn node_with(arguments: &[&str]) -> Self {
        let node = |_| {
            let bus = free_port().to_string();
            let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            let patient = ["--cluster-node-timeout", "15000"];
            Self::on(
                free_port(),
                &[cluster.as_slice(), &patient, arguments].concat(),
            )
        };
        (0..10).find_map(node).expect(DOES_NOT_START)
    }

    /// A Sentinel that watches `mymaster` at a port, and is enough by itself to have another take its place.
    ///
    /// # Panics
    ///
    /// Where there is none to start.
    pub fn sentinel(master: u16) -> Self {
        let sentinel = |_| {
            let (port, folder) = (free_port(), TempDir::new().expect("a folder"));
            let file = folder.path().join("sentinel.conf");
            let config = format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {master} 1\n"
            );
            std::fs::write(&file, config).expect("a file");
            let mut command = Command::new(program());
            command.arg(file).arg("--sentinel");
            Self::run(&mut command, "+monitor master mymaster", port, folder)
        };
        (0..10).find_map(sentinel).expect(DOES_NOT_START)
    }

    /// Runs a server; `None` where it ends before it has said that it is ready.
    fn run(command: &mut Command, ready: &str, port: u16, folder: TempDir) -> Option<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| missing(&error));
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let watcher = Command::new("sh")
            .args(["-c", "cat; kill -9 $0", &child.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let server = Self {
            child,
            watcher,
            port,
            _folder: folder,
        };
        let (says, said) = mpsc::channel();
        // All that it has to say is read, so that it never waits for a reader.
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| drop(says.send(line)));
        });
        let mut before = Vec::new();
        loop {
            match said.recv_timeout(LONG) {
                Ok(line) if line.contains(ready) => return Some(server),
                Ok(line) => before.push(line),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("redis-server is not ready after {LONG:?}: {before:#?}")
                }
            }
        }
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
        // The watcher first: once the server is gone another process may have its number.
        for child in [&mut self.watcher, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
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

fn missing(error: &std::io::Error) -> ! {
    panic!(
        "these tests need redis-server, of Redis 7 or later or Valkey, and it does not start: {error}. Install it \
         (Debian: apt-get install redis-server), or name the program in {PROGRAM}"
    )
}

fn program() -> String {
    env::var(PROGRAM).unwrap_or_else(|_| "redis-server".into())
}
