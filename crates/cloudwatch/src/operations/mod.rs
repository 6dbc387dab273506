//! Dashboards, alarms, log queries and rights as code, from the table of [`METRICS`](crate::METRICS).
//!
//! ```
//! use tower_bedrock_cloudwatch::operations::{Operations, Severity};
//! use tower_bedrock_core::Target;
//!
//! let operations = Operations::builder("chat")
//!     .target(Target::parse("us-east-1", "us.anthropic.claude-sonnet-4-20250514-v1:0")?)
//!     .topic(Severity::Critical, "arn:aws:sns:us-east-1:123456789012:pager")
//!     .build()?;
//!
//! // To be deployed with CloudFormation ...
//! let template = operations.cloudformation();
//! assert_eq!(template["AWSTemplateFormatVersion"], "2010-09-09");
//!
//! // ... or looked at, or put in place by other means.
//! let alarm = &operations.alarms()[0];
//! assert!(alarm.description().contains("What to do:"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything is made for one configuration: the targets that are called and where people are told.
//!
//! # Put in place through the API
//!
//! With the feature `cloudformation`, `Operations::deploy` puts all of it in place as one stack, and once more with what
//! has changed. With the feature `aws`, `Operations::apply` puts the dashboard and the alarms of as many targets as
//! there are in place through CloudWatch's own API, and takes nothing away.
//!
//! Texts name models, Regions and what to do, and nothing of what users send.
//!
//! # What CloudWatch adds up, and what not
//!
//! CloudWatch keeps series of different dimensions apart. Alarms watch the sums that the
//! `recorder` module sends besides (its `roll_up`), and they name every dimension: tell
//! [`dimension`](OperationsBuilder::dimension) those that the recorder was told. With another recorder
//! that does not roll up, use the Prometheus rules instead.

mod alarm;
#[cfg(feature = "aws")]
mod apply;
mod builder;
mod cloudformation;
mod dashboard;
#[cfg(feature = "cloudformation")]
mod deploy;
mod grafana;
mod log_queries;
mod policy;
mod prometheus;
mod rules;

pub use self::{
    alarm::{Alarm, Metric, Query},
    builder::{InvalidOperations, OperationsBuilder},
    log_queries::LogQuery,
    rules::{AlarmKind, Severity},
};

#[cfg(feature = "aws")]
pub use self::apply::{Applied, ApplyError};
#[cfg(feature = "cloudformation")]
pub use self::deploy::{Change, DeployError, Deployed};

use std::collections::BTreeMap;

use tower_bedrock_core::Target;

/// What an operator needs, for one configuration. See the [module's documentation](self).
#[derive(Clone, Debug)]
pub struct Operations {
    name: String,
    namespace: String,
    dimensions: Vec<(String, String)>,
    targets: Vec<Target>,
    topics: BTreeMap<Severity, String>,
    log_groups: Vec<String>,
    thresholds: BTreeMap<AlarmKind, f64>,
}

impl Operations {
    /// Builds it. The name begins the names of the dashboard and of all alarms.
    pub fn builder(name: impl Into<String>) -> OperationsBuilder {
        OperationsBuilder::new(name.into())
    }

    /// The name that everything's name begins with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The threshold of an alarm: as set, or its default.
    #[must_use]
    pub fn threshold(&self, kind: AlarmKind) -> f64 {
        let set = self.thresholds.get(&kind).copied();
        set.unwrap_or_else(|| kind.rule().threshold)
    }
}
