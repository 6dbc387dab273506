//! The account's own limits, read from AWS's Service Quotas.
//!
//! ```no_run
//! use tower_bedrock::{
//!     quota::{LimitTable, Limiter, Limits, QuotaPattern},
//!     service_quotas,
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let config = aws_config::load_from_env().await;
//! // What is said by hand comes first, and what Service Quotas lists is for all other models.
//! let by_hand = LimitTable::new().with(
//!     QuotaPattern::model("amazon.titan-embed-text-v2*").on_demand(),
//!     Limits::new().with_requests_per_minute(6_000),
//! );
//! let limiter = Limiter::new(service_quotas::add_limits(by_hand, &config).await?)?;
//! # Ok(())
//! # }
//! ```
//!
//! The principal needs two actions, on all resources:
//!
//! ```json
//! {
//!     "Effect": "Allow",
//!     "Action": ["servicequotas:ListServiceQuotas", "servicequotas:ListAWSDefaultServiceQuotas"],
//!     "Resource": "*"
//! }
//! ```
//!
//! Values are read once. Raised quotas are seen by reading again, every hour or so, and handing the table to
//! [`Limiter::set_limits`](crate::quota::Limiter::set_limits). How names become limits, and which are passed
//! over, is told at [`LimitTable::with_service_quotas`].

use std::collections::BTreeMap;

use aws_sdk_servicequotas::{
    Client,
    error::{BoxError, SdkError},
    types::ServiceQuota,
};
use aws_types::SdkConfig;
use tower_bedrock_quota::LimitTable;

/// Bedrock's name in Service Quotas.
const SERVICE: &str = "bedrock";

/// Service Quotas could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The configuration names no Region, and quotas belong to one.
    #[error("no Region is configured to read quotas of")]
    NoRegion,
    /// A call failed.
    #[error("{operation} failed")]
    Call {
        /// Which one.
        operation: &'static str,
        /// Why.
        source: BoxError,
    },
}

/// Adds the limits of Bedrock's models in the configured Region, for the keys that no earlier pattern of the
/// table matches.
///
/// # Errors
///
/// [`ReadError`] where no Region is configured, or a call to Service Quotas fails after the SDK's retries.
///
/// # Cancel safety
///
/// Dropped, it has read for nothing.
pub async fn add_limits(table: LimitTable, config: &SdkConfig) -> Result<LimitTable, ReadError> {
    add_limits_from(table, &Client::new(config)).await
}

/// The same with a client of one's own: another endpoint, or another Region's.
///
/// # Errors
///
/// As [`add_limits`].
pub async fn add_limits_from(table: LimitTable, client: &Client) -> Result<LimitTable, ReadError> {
    let region = client.config().region().ok_or(ReadError::NoRegion)?;
    let mut quotas = Quotas::default();
    // Only quotas that were ever changed or looked at may be listed as applied, so AWS's defaults come first.
    let mut pages = client
        .list_aws_default_service_quotas()
        .service_code(SERVICE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        quotas.add(
            page.map_err(failed("ListAWSDefaultServiceQuotas"))?
                .quotas(),
        );
    }
    let mut pages = client
        .list_service_quotas()
        .service_code(SERVICE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        quotas.add(page.map_err(failed("ListServiceQuotas"))?.quotas());
    }
    Ok(table.with_service_quotas(region.as_ref(), quotas.0.into_values()))
}

/// Names and values, by quota code.
#[derive(Debug, Default)]
struct Quotas(BTreeMap<String, (String, f64)>);

impl Quotas {
    /// Adds what is listed, in place of what was listed before.
    fn add(&mut self, quotas: &[ServiceQuota]) {
        for quota in quotas {
            if let (Some(code), Some(name), Some(value)) =
                (quota.quota_code(), quota.quota_name(), quota.value())
            {
                self.0.insert(code.to_owned(), (name.to_owned(), value));
            }
        }
    }
}

fn failed<E, R>(operation: &'static str) -> impl Fn(SdkError<E, R>) -> ReadError
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    move |error| ReadError::Call {
        operation,
        source: error.into(),
    }
}
