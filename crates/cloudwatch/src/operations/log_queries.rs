use super::Operations;

/// A query of CloudWatch Logs Insights.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogQuery {
    /// Its name; a slash makes a folder.
    pub name: String,
    /// The query.
    pub query: &'static str,
    /// The log groups it reads.
    pub log_groups: Vec<String>,
}

/// They search messages, so that they do not depend on how logs are laid out.
const QUERIES: &[(&str, &str)] = &[
    (
        "throttles by flavour",
        "fields @timestamp, @message
| filter @message like /attempt failed/ and @message like /ThrottlingException/
| parse @message /(?<flavour>throttled[a-z_]*|model_overloaded)/
| stats count(*) as throttles by flavour, bin(5m)
| sort throttles desc",
    ),
    (
        "503s and other service errors",
        "fields @timestamp, @message
| filter @message like /attempt failed/
| filter @message like /ServiceUnavailableException|InternalServerException|ModelTimeoutException|ModelErrorException/
| parse @message /(?<exception>[A-Za-z]+Exception)/
| stats count(*) as failures by exception, bin(5m)
| sort failures desc",
    ),
    (
        "latest failed attempts",
        "fields @timestamp, @message
| filter @message like /attempt failed/
| sort @timestamp desc
| limit 100",
    ),
    (
        "metric data lost",
        "fields @timestamp, @message
| filter @message like /metric data (lost|not sent)/
| sort @timestamp desc
| limit 100",
    ),
];

impl Operations {
    /// Log queries to be saved in CloudWatch Logs Insights.
    #[must_use]
    pub fn log_queries(&self) -> Vec<LogQuery> {
        QUERIES
            .iter()
            .map(|(name, query)| LogQuery {
                name: format!("{}/{name}", self.name),
                query,
                log_groups: self.log_groups.clone(),
            })
            .collect()
    }
}
