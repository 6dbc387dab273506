//! Every fault that Bedrock answers with, as the SDK leaf's policies see it.

use serde_json::json;
use tokio::time::Duration;
use tower_bedrock_core::{FaultKind, HasFault};
use tower_bedrock_service::BedrockService;

use crate::{
    call::{Operation, Whole},
    local::Local,
};

/// The simulator's names, and what policies must make of them.
const FAULTS: &[(&str, FaultKind)] = &[
    ("throttle_requests", FaultKind::ThrottledRequests),
    ("throttle_tokens", FaultKind::ThrottledTokens),
    ("throttle_tokens_per_day", FaultKind::ThrottledTokensPerDay),
    ("overloaded", FaultKind::ModelOverloaded),
    ("model_not_ready", FaultKind::ModelNotReady),
    ("too_many_connections", FaultKind::TooManyConnections),
    ("unavailable", FaultKind::Unavailable),
    ("internal", FaultKind::Internal),
    ("overloaded_529", FaultKind::Overloaded),
    ("model_timeout", FaultKind::ModelTimeout),
    ("model_error", FaultKind::ModelError),
];

#[tokio::test]
async fn a_fault_is_classified_alike_whatever_the_operation_and_the_way() {
    for local in Local::both().await {
        let bedrock = local.bedrock();
        for (name, kind) in FAULTS {
            for operation in Operation::ALL {
                local.fault(json!({"kind": name, "operation": operation.name(), "times": 1}));
                let error = operation.call(&bedrock, "Hello.").await.unwrap_err();
                assert_eq!(
                    error.fault().kind(),
                    *kind,
                    "{name}, {operation:?}: {error}"
                );
                // It was asked for once.
                operation.call(&bedrock, "Hello.").await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn overloaded_529_says_when_to_come_back() {
    for local in Local::both().await {
        let bedrock = local.bedrock();
        local.fault(json!({"kind": "overloaded_529", "retry_after": 7}));
        for operation in Operation::ALL {
            let error = operation.call(&bedrock, "Hello.").await.unwrap_err();
            let after = error.fault().retry_after();
            assert_eq!(after, Some(Duration::from_secs(7)), "{operation:?}");
        }
    }
}

/// What is no answer of Bedrock's is nobody's to classify but the one who called it. The gateway tells its
/// own clients in Bedrock's words.
#[tokio::test]
async fn what_is_no_answer_of_bedrocks_is_a_transport_fault() {
    let ways = [FaultKind::Transport, FaultKind::Unavailable];
    for (local, expected) in Local::both().await.into_iter().zip(ways) {
        let bedrock = local.bedrock();
        for kind in ["reset", "html_503"] {
            for operation in Operation::ALL {
                local.fault(json!({"kind": kind, "times": 1}));
                let error = operation.call(&bedrock, "Hello.").await.unwrap_err();
                assert_eq!(error.fault().kind(), expected, "{kind}, {operation:?}");
                operation.call(&bedrock, "Hello.").await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn no_answer_is_a_timeout() {
    for local in Local::both().await {
        let limit = Duration::from_millis(50);
        let bedrock = local.bedrock_with(
            BedrockService::builder()
                .operation_timeout(limit)
                .first_event_timeout(limit),
        );
        local.fault(json!({"kind": "hang"}));
        for operation in Operation::ALL {
            let error = operation.call(&bedrock, "Hello.").await.unwrap_err();
            assert_eq!(error.fault().kind(), FaultKind::Timeout, "{operation:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_denied() {
    let local = Local::direct().await;
    let bedrock = local.bedrock_with_secret("not the secret");
    for operation in Operation::ALL {
        let answer: Result<Whole, _> = operation.call(&bedrock, "Hello.").await;
        let error = answer.unwrap_err();
        assert_eq!(
            error.fault().kind(),
            FaultKind::AccessDenied,
            "{operation:?}"
        );
        assert_eq!(error.exception(), Some("InvalidSignatureException"));
    }
}
