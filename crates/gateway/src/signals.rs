//! The signals that ask a program to stop, or to read its configuration anew.

use std::io;

/// SIGTERM and SIGINT; where there are no such, Ctrl-C.
#[derive(Debug)]
pub struct StopSignals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl StopSignals {
    /// Starts to listen. From now on the signals do not end the program of themselves.
    ///
    /// # Errors
    ///
    /// The system does not let the program listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
            #[cfg(unix)]
            interrupt: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no signal.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            // Nobody will ever ask.
            std::future::pending::<()>().await;
        }
    }
}

/// SIGHUP. Where there is no such thing, nothing ever asks.
#[derive(Debug)]
pub struct ReloadSignals {
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl ReloadSignals {
    /// Starts to listen. From now on the signal does not end the program of itself.
    ///
    /// # Errors
    ///
    /// The system does not let the program listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            hang_up: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. Several in a row may be one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no signal.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if self.hang_up.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}
