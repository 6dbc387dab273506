//! Settings that cannot be are refused by name.

use tokio::time::Duration;
use tower_bedrock_queue::{MemoryQueue, WorkerBuilder};

use crate::support::{Asked, Codec, Service, worker};

type Builder = WorkerBuilder<MemoryQueue, Service, Codec, MemoryQueue>;

#[test]
fn what_cannot_be_is_refused_by_name() {
    let refused = |change: fn(Builder) -> Builder| {
        let builder = worker(&MemoryQueue::new(), &Asked::default());
        change(builder).build().unwrap_err().to_string()
    };
    assert_eq!(
        refused(|builder| builder.concurrency(0)),
        "concurrency is 0: expected 1 to 10,000"
    );
    assert_eq!(
        refused(|builder| builder.visibility(Duration::ZERO)),
        "visibility is 0ns: expected 1 second to 12 hours"
    );
    assert_eq!(
        refused(|builder| builder.max_hold(Duration::MAX)),
        "max_hold is 18446744073709551615.999999999s: expected at most 12 hours"
    );
    assert_eq!(
        refused(|builder| builder.leave_share(f64::NAN)),
        "leave_share is NaN: expected 0.0 to 1.0"
    );
    assert_eq!(
        refused(|builder| builder.max_attempts(0)),
        "max_attempts is 0: expected 1 or more"
    );
}
