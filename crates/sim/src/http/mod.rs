//! The HTTP face: Bedrock's wire protocol in front of the engine, so that unmodified AWS SDKs take it
//! for Bedrock.
//!
//! ```no_run
//! use bedrock_sim::{Config, Simulator, http};
//! use tokio::net::TcpListener;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::new(Config::default())?;
//! let listener = TcpListener::bind("127.0.0.1:9090").await?;
//! http::serve(listener, simulator, tokio::signal::ctrl_c()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Every answer says what it is: `x-bedrock-sim: true`.
//!
//! # Operations
//!
//! `POST /model/{modelId}/` and `converse`, `converse-stream`, `invoke`, `invoke-with-response-stream`
//! or `count-tokens`. InvokeModel takes the bodies of Anthropic's Messages and of Amazon Nova; a model
//! whose id names neither family is spoken to in the language of its body. What else Bedrock can do is
//! an `UnknownOperationException`.
//!
//! The Region of a request is the one its signature names, else the one in `x-sim-region`, else the
//! default one. Signatures and bearer tokens are checked where the config has
//! [credentials](crate::Credentials).
//!
//! Cache points work: what stands before one is written to a prompt cache and read from it for five
//! minutes (or the hour that its `ttl` asks for), in simulated time.
//!
//! # Control
//!
//! These calls script the simulator. They ask for no signature; errors are JSON, with a `message` that
//! names the field and what is accepted.
//!
//! | call | does |
//! |---|---|
//! | `GET /_sim/health` | answers 200 when it is ready |
//! | `GET /_sim/ledger` | the [ledger](crate::Ledger) |
//! | `DELETE /_sim/ledger` | empties it |
//! | `PUT /_sim/models/{modelId}?region=` | sets what the body, some [settings](crate::ModelSettings), gives of a model; makes it if it is new |
//! | `POST /_sim/faults` | adds a [fault](crate::FaultSpec), answers `{"id": N}` |
//! | `DELETE /_sim/faults`, `DELETE /_sim/faults/{id}` | removes all, or one |
//! | `POST /_sim/reset` | puts faults, ledger, quota levels and prompt cache back to the start |

mod authentication;
mod body;
mod connection;
mod control;
mod converse;
mod count_tokens;
mod error;
mod event_stream;
mod exchange;
mod invoke;
mod language;
mod prompt;
mod prompt_cache;
mod server;
mod signature;
mod stream;

use std::sync::Arc;

use axum::{Router, extract::FromRef, middleware::map_response, response::Response, routing::any};
use http::{HeaderName, HeaderValue};

use self::prompt_cache::PromptCache;
pub use self::server::serve;
use crate::Simulator;

const SIMULATED: HeaderName = HeaderName::from_static("x-bedrock-sim");

/// What the handlers share.
#[derive(Clone, Debug)]
struct Face {
    simulator: Simulator,
    prompt_cache: Arc<PromptCache>,
}

/// The HTTP face as an axum router, to be served by other means than [`serve`].
///
/// A `reset` fault cuts the TCP connection where [`serve`] serves it. Elsewhere the response breaks off in
/// its body instead.
pub fn router(simulator: Simulator) -> Router {
    let face = Face {
        simulator,
        prompt_cache: Arc::default(),
    };
    Router::new()
        .route("/model/{model}/{operation}", any(exchange::model_operation))
        .nest("/_sim", control::router())
        .fallback(exchange::unknown_operation)
        .layer(map_response(mark))
        .with_state(face)
}

async fn mark(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(SIMULATED, HeaderValue::from_static("true"));
    response
}

impl FromRef<Face> for Simulator {
    fn from_ref(face: &Face) -> Self {
        face.simulator.clone()
    }
}
