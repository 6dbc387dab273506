//! Work that may wait for Amazon Bedrock: accepted now, done when there is capacity, and out of people's way.
//!
//! ```
//! use tower_bedrock_core::{Answer, BoxError, Demand, Invocation, Target};
//! use tower_bedrock_queue::{MemoryQueue, Message, Worker, codec_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! # let bedrock = tower::service_fn(|call: Invocation<String>| async move {
//! #     Ok::<_, BoxError>(Answer::new(call.input().to_uppercase()))
//! # });
//! let queue = MemoryQueue::new();
//! queue.send(Message::new("greeting", "Say hello."));
//!
//! // A message becomes a request, and an answer the result that is kept.
//! let target = Target::parse("us-east-1", "amazon.nova-lite-v1:0")?;
//! let codec = codec_fn(
//!     move |message: &Message| {
//!         let prompt = String::from_utf8(message.body().to_vec())?;
//!         let demand = Demand::new(prompt.len() as u64 / 4).with_max_output_tokens(200);
//!         Ok(Invocation::new(target.clone(), prompt).with_demand(demand))
//!     },
//!     |answer: Answer<String>| Ok(answer.into_output().into()),
//! );
//! let worker = Worker::builder(queue.clone(), bedrock, codec)
//!     .results(queue.clone())
//! # ;
//! # let (limiter, breaker) = ((), ());
//! # let worker = worker
//!     // Asked before work is taken: how people's calls leave quota and breaker.
//!     .headroom((limiter, breaker))
//!     .build()?;
//!
//! // Yours to spawn; here it ends when the work does.
//! let report = worker.run_until(queue.drained()).await;
//! assert_eq!(report.answered, 1);
//! assert_eq!(queue.result("greeting").unwrap(), "SAY HELLO.");
//! # Ok(())
//! # }
//! ```
//!
//! # Out of people's way
//!
//! A [`Worker`] takes a message only when the stack's [`Headroom`](tower_bedrock_core::Headroom) says that a call
//! like the latest one would be served at once, and asks again for each message before it is called for. Calls go
//! out in the lowest priority, so that one which meets a quota's queue all the same stands behind everyone. What
//! is held and finds no room goes back. A quarter of every limit is left for those who come
//! ([`WorkerBuilder::leave_share`]), because a window that is full is full for everyone.
//!
//! # At least once, and paid for once
//!
//! A message comes again until it is settled. Its result is kept under its key before it is completed, so a
//! message that comes again after that is not called for again. What is left is the moment between an answer's
//! arrival and its being kept: a process that dies in it pays twice.
//!
//! # Poison
//!
//! A message that cannot be read, or that Bedrock refuses as invalid, is set aside at once; one that fails in
//! other ways of its own, or takes its process down, after `max_attempts`. It keeps the name of its exception.
//! Those behind it go on meanwhile. (At SQS one that takes its process down is set aside after more receipts than
//! that, and on a FIFO queue by a redrive policy: see `SqsQueue`.) What is not its doing (throttles, outages, missing rights) never counts: see
//! [`Verdict`].
//!
//! # Queues
//!
//! | queue | feature | for |
//! |---|---|---|
//! | [`MemoryQueue`] | always there | tests, and work that may be lost with its process |
//! | `EmbeddedQueue` | `embedded` | one machine: a file that survives the process |
//! | `SqsQueue` | `sqs` | many machines: Amazon SQS, standard and FIFO |
//!
//! or your own: [`Queue`] has five methods, [`Results`] two.

mod codec;
#[cfg(feature = "embedded")]
mod embedded;
mod line;
mod memory;
mod message;
mod queue;
#[cfg(feature = "sqs")]
mod sqs;
mod verdict;
mod wait;
mod worker;

#[cfg(feature = "embedded")]
pub use self::embedded::{EmbeddedError, EmbeddedQueue, SetAside};
#[cfg(feature = "sqs")]
pub use self::sqs::{SqsError, SqsQueue, SqsReceipt};
pub use self::{
    codec::{Codec, CodecFn, codec_fn},
    line::{LeaseLost, LocalReceipt},
    memory::MemoryQueue,
    message::{Cause, DeadLetter, Delivery, Message},
    queue::{Queue, Results},
    verdict::Verdict,
    worker::{InvalidConfig, Report, Worker, WorkerBuilder},
};
