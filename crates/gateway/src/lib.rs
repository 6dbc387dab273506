//! Amazon Bedrock's runtime API over HTTP, served through tower-bedrock's layers: point any AWS SDK's
//! endpoint URL at it.
//!
//! ```no_run
//! use bedrock_gateway::{Gateway, config::{Config, Flags}};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::parse(
//!     r#"
//!     listen = "127.0.0.1:8080"
//!     [upstream]
//!     kind = "aws"
//!     regions = ["us-east-1"]
//!     "#,
//!     &Flags::default(),
//! )?;
//! let gateway = Gateway::bind(config).await?;
//! gateway.run(async { let _ = tokio::signal::ctrl_c().await; }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A request goes: server (connections and their limits), handler (who asks for what, and the body whole),
//! stack (the layers), [`Upstream`] (signed, to Bedrock). Bytes pass as they are in both directions;
//! answers are read on the way only to know what they cost and whether they are whole.

pub mod batch;
pub mod cli;
pub mod config;
pub mod logging;
pub mod signals;

mod access_log;
mod auth;
mod body;
mod budget;
mod cached;
mod come_back;
mod deadline;
mod demand;
mod failure;
mod fleet;
mod gateway;
mod handle;
mod handler;
mod identity;
mod in_span;
mod reply;
mod request_id;
mod route;
mod scope;
mod server;
mod server_span;
mod sim;
mod stack;
mod telemetry;
mod tls;
mod told;
mod trace;
mod upstream;
mod wire_error;

#[doc(inline)]
pub use tower_bedrock_core::Operation;

pub use self::{
    cached::KeptResponse,
    gateway::{Gateway, StartError},
    handle::Handle,
    telemetry::{RecorderError, Traces, TracesError},
    upstream::{Endpoint, InvalidToken, RawRequest, RawResponse, Signer, Upstream, UpstreamError},
};
