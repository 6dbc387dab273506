//! Metrics to Amazon CloudWatch.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudwatch::Client;
use tower_bedrock_cloudwatch::recorder::{
    CloudWatchRecorder, CloudWatchSink, InvalidConfig, Worker,
};

use crate::config::CloudWatch;

/// What gathers for it.
pub(crate) fn recorder(config: &CloudWatch) -> Result<CloudWatchRecorder, InvalidConfig> {
    CloudWatchRecorder::builder()
        .namespace(&*config.namespace)
        .interval(config.period)
        .build()
}

/// What sends there, with the credentials that the default AWS chain has.
pub(super) async fn worker(
    config: &CloudWatch,
    recorder: CloudWatchRecorder,
) -> Worker<CloudWatchSink> {
    let aws = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(config.region.to_string()))
        .load()
        .await;
    recorder.worker(CloudWatchSink::new(Client::new(&aws)))
}
