use aws_sdk_cloudwatch::{
    Client,
    error::DisplayErrorContext,
    types::{ComparisonOperator, Dimension, Metric as SdkMetric, MetricDataQuery, MetricStat},
};

use super::{Alarm, Operations, Query};

/// What [`Operations::apply`] put in place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The dashboard's name.
    pub dashboard: String,
    /// The alarms' names.
    pub alarms: Vec<String>,
}

/// What could not be put in place.
#[derive(Debug, thiserror::Error)]
#[error("{what} was not put in place: {why}")]
pub struct ApplyError {
    what: String,
    why: String,
}

impl Operations {
    /// Puts the dashboard and the alarms in place through CloudWatch's API. What has the same name is replaced, so
    /// it can be done again; nothing is taken away.
    ///
    /// Needs the rights `cloudwatch:PutDashboard` and `cloudwatch:PutMetricAlarm`. Log queries and the policy
    /// belong to other services: they come with the template that [`cloudformation`](Self::cloudformation) prints, and
    /// `deploy` (feature `cloudformation`) puts in place.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] at the first that CloudWatch refuses; those before it stay.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves in place what was put there.
    pub async fn apply(&self, client: &Client) -> Result<Applied, ApplyError> {
        let region = client.config().region().map_or("us-east-1", AsRef::as_ref);
        let dashboard = self.dashboard_name();
        let put = client
            .put_dashboard()
            .dashboard_name(&dashboard)
            .dashboard_body(self.dashboard(region).to_string())
            .send();
        put.await.map_err(|error| ApplyError {
            what: format!("dashboard {dashboard:?}"),
            why: DisplayErrorContext(error).to_string(),
        })?;
        let mut alarms = Vec::new();
        for alarm in self.alarms() {
            put_alarm(client, &alarm).await?;
            alarms.push(alarm.name().to_owned());
        }
        Ok(Applied { dashboard, alarms })
    }
}

async fn put_alarm(client: &Client, alarm: &Alarm) -> Result<(), ApplyError> {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let topics: Vec<_> = alarm.topic().map(str::to_owned).into_iter().collect();
    let put = client
        .put_metric_alarm()
        .alarm_name(alarm.name())
        .alarm_description(alarm.description())
        .set_alarm_actions(Some(topics.clone()))
        .set_ok_actions(Some(topics))
        .set_metrics(Some(alarm.queries().iter().map(query).collect()))
        .comparison_operator(ComparisonOperator::from(alarm.comparison_operator()))
        .threshold(alarm.threshold())
        .evaluation_periods(number(alarm.evaluation_periods()))
        .datapoints_to_alarm(number(alarm.datapoints_to_alarm()))
        .treat_missing_data("notBreaching")
        .send();
    put.await.map(drop).map_err(|error| ApplyError {
        what: format!("alarm {:?}", alarm.name()),
        why: DisplayErrorContext(error).to_string(),
    })
}

fn query(query: &Query) -> MetricDataQuery {
    match query {
        Query::Metric(metric) => {
            let dimensions = metric
                .dimensions
                .iter()
                .map(|(name, value)| Dimension::builder().name(name).value(value).build())
                .collect();
            let what = SdkMetric::builder()
                .namespace(&metric.namespace)
                .metric_name(metric.name)
                .set_dimensions(Some(dimensions))
                .build();
            let stat = MetricStat::builder()
                .metric(what)
                .period(i32::try_from(metric.period).unwrap_or(i32::MAX))
                .stat(metric.stat)
                .build();
            MetricDataQuery::builder()
                .id(metric.id)
                .metric_stat(stat)
                .return_data(false)
                .build()
        }
        Query::Expression(expression) => MetricDataQuery::builder()
            .id("result")
            .expression(*expression)
            .return_data(true)
            .build(),
    }
}
