//! The service itself.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use aws_sdk_bedrockruntime::Client;
use aws_types::SdkConfig;
use tokio::time::{Instant, timeout_at};
use tower_bedrock_core::{HasDemand, HasTarget, Invocation, Region, Target};
use tower_service::Service;

use crate::{
    BedrockInput, Builder, Error, InvalidConfig, InvalidInput, ResponseFuture,
    builder::Limits,
    clients::Clients,
    error::Local,
    input::{self, CallOptions},
};

/// Amazon Bedrock's runtime as a Tower service: the leaf of a stack, over the AWS SDK.
///
/// ```no_run
/// use aws_sdk_bedrockruntime::{
///     operation::converse::ConverseInput,
///     types::{ContentBlock, ConversationRole, Message},
/// };
/// use tower::ServiceExt;
/// use tower_bedrock_service::BedrockService;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = aws_config::load_from_env().await;
/// let bedrock = BedrockService::new(&config)?;
///
/// let input = ConverseInput::builder()
///     .model_id("us.anthropic.claude-sonnet-4-20250514-v1:0")
///     .messages(
///         Message::builder()
///             .role(ConversationRole::User)
///             .content(ContentBlock::Text("Say hello.".to_owned()))
///             .build()?,
///     )
///     .build()?;
/// let invocation = bedrock.invocation(input)?;
///
/// let answer = bedrock.clone().oneshot(invocation).await?;
/// println!("{:?}", answer.usage());
/// # Ok(())
/// # }
/// ```
///
/// | input | answer | usage from |
/// |---|---|---|
/// | `ConverseInput` | `Answer<ConverseOutput>` | the body |
/// | `ConverseStreamInput` | [`ConverseEvents`](crate::ConverseEvents) | `metadata`, the last event |
/// | `InvokeModelInput` | `Answer<InvokeModelOutput>` | headers |
/// | `InvokeModelWithResponseStreamInput` | [`InvokeModelChunks`](crate::InvokeModelChunks) | the last chunk |
/// | `CountTokensInput` | `Answer<CountTokensOutput>` | none: it is free |
///
/// # The envelope decides
///
/// A call goes to the envelope's target: its Region and model id, and its service tier where it has one,
/// whatever the input says. A Converse request gets the envelope's bound on the output where it has one.
/// The body of `InvokeModel` is sent as it was given, so there the bound on the output stays as it is.
///
/// The envelope's deadline holds too: a call whose deadline has passed is not sent, and one that has not
/// been answered by then (a stream: not begun) ends as a timeout.
///
/// # Retries
///
/// None. The SDK's are off, whatever its configuration says: a retry layer owns them, and two owners multiply
/// attempts.
///
/// # Errors
///
/// All are [`Error`], which answers `HasFault`. A stream that fails before its first content is an error of
/// the call, see [`EventStream`](crate::EventStream).
///
/// # Clone
///
/// Cheap. Clones share everything: the SDK's clients, one for each Region, made when it is first called; the
/// credentials; and one pool of HTTP connections.
///
/// # Runtime
///
/// Connections live on the Tokio runtime of the first call. A service cannot be used on another one after
/// that has shut down.
///
/// # Cancel safety
///
/// Dropping the response future, or a stream, cancels the HTTP request.
#[derive(Clone, Debug)]
pub struct BedrockService {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clients: Clients,
    default_region: Option<Region>,
    limits: Limits,
}

impl BedrockService {
    /// A service with this configuration, and this crate's defaults where it says nothing; see
    /// [`Builder`].
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`], where the configuration's Region cannot be one.
    pub fn new(config: &SdkConfig) -> Result<Self, InvalidConfig> {
        Self::builder().build(config)
    }

    /// A service with the configuration of an SDK client: its credentials, endpoint, HTTP client and
    /// interceptors; see [`Builder`] for what is changed.
    ///
    /// Calls for other Regions than the client's use the same configuration, so with an endpoint URL of its
    /// own they go there too, signed for the Region they name. An interceptor sees a call's input from
    /// `modify_before_serialization` on; in `read_before_execution` it is still empty.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`], where the client's Region cannot be one.
    pub fn from_client(client: &Client) -> Result<Self, InvalidConfig> {
        Self::builder().build_from_client(client)
    }

    /// Sets timeouts and the connection pool.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_parts(
        clients: Clients,
        default_region: Option<Region>,
        limits: Limits,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                clients,
                default_region,
                limits,
            }),
        }
    }

    /// The Region of the configuration.
    #[must_use]
    pub fn default_region(&self) -> Option<&Region> {
        self.shared.default_region.as_ref()
    }

    /// An input in its envelope, sent to the Region that its model's ARN names, else to the default one. See
    /// [`BedrockInput::into_invocation`] to choose the Region.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`] where the input names no model, or where there is no Region to send it to.
    pub fn invocation<I: BedrockInput>(&self, input: I) -> Result<Invocation<I>, InvalidInput> {
        let model = input::model(&input)?;
        let region = model.region().or(self.default_region());
        let target = Target::new(region.ok_or(InvalidInput::NO_REGION)?.clone(), model);
        Ok(input::envelope(input, target))
    }

    /// The SDK's client for a Region, for the operations that are no service here.
    #[must_use]
    pub fn client(&self, region: &Region) -> Client {
        self.shared.clients.get(region)
    }
}

impl<I: BedrockInput> Service<Invocation<I>> for BedrockService {
    type Response = I::Response;
    type Error = Error;
    type Future = ResponseFuture<I::Response>;

    /// Always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, invocation: Invocation<I>) -> Self::Future {
        let started = Instant::now();
        let limits = self.shared.limits;
        let (limit, awaited) = if I::STREAMS {
            (limits.first_event_timeout, "first content")
        } else {
            (limits.operation_timeout, "answer")
        };
        let deadline = invocation.context().deadline();
        let until = deadline.unwrap_or(started + limit).min(started + limit);
        let client = self.client(invocation.target().region());
        let options = CallOptions {
            started,
            idle_timeout: limits.idle_timeout,
        };
        ResponseFuture::new(async move {
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Error::local(Local::DeadlinePassed));
            }
            let (target, demand) = (invocation.target().clone(), invocation.demand());
            let mut input = invocation.into_input();
            input.write_envelope(&target, &demand);
            timeout_at(until, input.send(client, options))
                .await
                .unwrap_or_else(|_| {
                    let limit = until - started;
                    Err(Error::local(Local::TimedOut { awaited, limit }))
                })
        })
    }
}
