//! Limits read from Service Quotas, by a client whose answers are made up.

#![cfg(feature = "service-quotas")]
#![allow(clippy::unwrap_used)]

use aws_sdk_servicequotas::{
    Client,
    operation::{
        list_aws_default_service_quotas::ListAwsDefaultServiceQuotasOutput,
        list_service_quotas::{ListServiceQuotasError, ListServiceQuotasOutput},
    },
    types::{ServiceQuota, error::TooManyRequestsException},
};
use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
use tower_bedrock::{
    Context, Demand, Target,
    quota::{LimitTable, Limiter, Limits, QuotaPattern},
    service_quotas::{ReadError, add_limits_from},
};

fn quota(code: &str, name: &str, value: f64) -> ServiceQuota {
    ServiceQuota::builder()
        .service_code("bedrock")
        .quota_code(code)
        .quota_name(name)
        .value(value)
        .build()
}

const TOKENS: &str =
    "Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4 V1";
const REQUESTS: &str =
    "Cross-region model inference requests per minute for Anthropic Claude Sonnet 4 V1";
const HAIKU: &str = "On-demand model inference tokens per minute for Anthropic Claude 3 Haiku";

/// AWS's defaults, on two pages.
fn defaults() -> [Rule; 2] {
    let page = |token: Option<&'static str>,
                quotas: fn() -> Vec<ServiceQuota>,
                next: Option<&'static str>| {
        mock!(Client::list_aws_default_service_quotas)
            .match_requests(move |input| {
                input.service_code() == Some("bedrock") && input.next_token() == token
            })
            .then_output(move || {
                ListAwsDefaultServiceQuotasOutput::builder()
                    .set_quotas(Some(quotas()))
                    .set_next_token(next.map(str::to_owned))
                    .build()
            })
    };
    [
        page(
            None,
            || {
                vec![
                    quota("L-1", TOKENS, 200_000.0),
                    quota("L-2", REQUESTS, 200.0),
                ]
            },
            Some("more"),
        ),
        page(Some("more"), || vec![quota("L-3", HAIKU, 300_000.0)], None),
    ]
}

/// What applies to this account, on two pages: the first quota was raised.
fn applied() -> [Rule; 2] {
    let page = |token: Option<&'static str>,
                quotas: fn() -> Vec<ServiceQuota>,
                next: Option<&'static str>| {
        mock!(Client::list_service_quotas)
            .match_requests(move |input| {
                input.service_code() == Some("bedrock") && input.next_token() == token
            })
            .then_output(move || {
                ListServiceQuotasOutput::builder()
                    .set_quotas(Some(quotas()))
                    .set_next_token(next.map(str::to_owned))
                    .build()
            })
    };
    [
        page(
            None,
            || vec![quota("L-9", "Number of custom models per account", 100.0)],
            Some("more"),
        ),
        page(
            Some("more"),
            || vec![quota("L-1", TOKENS, 2_000_000.0)],
            None,
        ),
    ]
}

fn client(rules: &[Rule]) -> Client {
    let rules: Vec<&Rule> = rules.iter().collect();
    mock_client!(aws_sdk_servicequotas, RuleMode::MatchAny, &rules)
}

/// The declared requests and tokens a minute.
fn declared(table: LimitTable, region: &str, model: &str) -> (Option<u64>, Option<u64>) {
    let limiter = Limiter::new(table).unwrap();
    let target = Target::parse(region, model).unwrap();
    let free = Demand::new(0).with_max_output_tokens(0);
    drop(
        limiter
            .try_reserve(&target, &free, &Context::new())
            .unwrap(),
    );
    let snapshot = limiter.snapshot(&target).unwrap();
    (
        snapshot.requests_per_minute.declared,
        snapshot.tokens_per_minute.declared,
    )
}

const SONNET: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

#[tokio::test]
async fn applied_values_come_before_defaults_and_what_is_said_by_hand_before_both() {
    let rules = [defaults(), applied()].concat();
    let table = add_limits_from(LimitTable::new(), &client(&rules))
        .await
        .unwrap();
    // The mock's Region is us-east-1.
    assert_eq!(
        declared(table.clone(), "us-east-1", SONNET),
        (Some(200), Some(2_000_000))
    );
    let haiku = "anthropic.claude-3-haiku-20240307-v1:0";
    assert_eq!(
        declared(table.clone(), "us-east-1", haiku),
        (None, Some(300_000))
    );
    // They are those of one Region and one way of calling.
    assert_eq!(declared(table.clone(), "eu-west-1", SONNET), (None, None));
    assert_eq!(
        declared(
            table,
            "us-east-1",
            "us.anthropic.claude-3-haiku-20240307-v1:0"
        ),
        (None, None)
    );

    let by_hand = LimitTable::new().with(
        QuotaPattern::model("anthropic.claude-sonnet-4-2*"),
        Limits::new().with_tokens_per_minute(1_000),
    );
    let table = add_limits_from(by_hand, &client(&rules)).await.unwrap();
    assert_eq!(declared(table, "us-east-1", SONNET), (None, Some(1_000)));
}

#[tokio::test]
async fn a_failed_call_is_named() {
    let failed = mock!(Client::list_service_quotas).then_error(|| {
        ListServiceQuotasError::TooManyRequestsException(
            TooManyRequestsException::builder().build(),
        )
    });
    let rules = [defaults().to_vec(), vec![failed]].concat();
    let error = add_limits_from(LimitTable::new(), &client(&rules))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Call {
                operation: "ListServiceQuotas",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "ListServiceQuotas failed");
}
