//! Settings that cannot be, and who wins where two say something.

use std::time::Duration;

use aws_sdk_bedrockruntime::config::{Region, timeout::TimeoutConfig};
use tower_bedrock_service::{BedrockService, Builder};

use crate::{aws_config, memory::Memory};

#[test]
fn a_setting_that_cannot_be_is_named_with_its_range() {
    let builder = BedrockService::builder;
    let day = Duration::from_secs(86_400);
    let table: [(Builder, &str); 11] = [
        (
            builder().connect_timeout(Duration::ZERO),
            "connect_timeout is 0ns: expected 1ms to 86400s",
        ),
        (builder().read_timeout(Duration::MAX), "read_timeout is "),
        (
            builder().operation_timeout(Duration::ZERO),
            "operation_timeout is 0ns",
        ),
        (
            builder().operation_timeout(day + day),
            "operation_timeout is 172800s",
        ),
        (
            builder().first_event_timeout(Duration::ZERO),
            "first_event_timeout is 0ns",
        ),
        (
            builder().stream_idle_timeout(Duration::ZERO),
            "stream_idle_timeout is 0ns",
        ),
        (
            builder().pool_idle_timeout(Duration::ZERO),
            "pool_idle_timeout is 0ns",
        ),
        (
            builder().max_connections_per_host(0),
            "max_connections_per_host is 0: expected 1 to 65535",
        ),
        (
            builder().tcp_keepalive(Some(Duration::from_millis(1))),
            "tcp_keepalive is 1ms: expected 1s to 32767s",
        ),
        (
            builder().max_regions(0),
            "max_regions is 0: expected 1 to 1024",
        ),
        (builder().max_regions(usize::MAX), "max_regions is "),
    ];
    for (builder, message) in table {
        let error = builder
            .build(&aws_config().build())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(message), "{error}");
        assert!(error.contains(": expected "), "{error}");
    }
    let none = builder().tcp_keepalive(None);
    none.build(&aws_config().build()).unwrap();
}

#[test]
fn a_region_that_cannot_be_is_refused() {
    let config = aws_config().region(Region::new("evil.example/#")).build();
    let error = BedrockService::new(&config).unwrap_err().to_string();
    assert!(error.contains("region is \"evil.example/#\""), "{error}");
}

#[test]
fn pool_settings_and_an_http_client_of_ones_own_exclude_each_other() {
    let config = aws_config()
        .http_client(Memory::new(Duration::ZERO, Vec::new()))
        .build();
    BedrockService::new(&config).unwrap();
    let settings = [
        BedrockService::builder().pool_idle_timeout(Duration::from_secs(5)),
        BedrockService::builder().max_connections_per_host(5),
        BedrockService::builder().tcp_keepalive(None),
    ];
    for builder in settings {
        let error = builder.build(&config).unwrap_err().to_string();
        assert!(error.contains("HTTP client"), "{error}");
    }
}

#[test]
fn what_is_set_here_goes_before_the_aws_configuration_and_that_before_the_defaults() {
    let seconds = Duration::from_secs;
    let timeouts = |service: &BedrockService| {
        let client = service.client(&"us-east-1".parse().unwrap());
        let timeouts = client.config().timeout_config().unwrap().clone();
        (timeouts.connect_timeout(), timeouts.read_timeout())
    };
    let plain = aws_config().build();
    let configured = aws_config()
        .timeout_config(TimeoutConfig::builder().read_timeout(seconds(7)).build())
        .build();

    let service = BedrockService::new(&plain).unwrap();
    assert_eq!(
        timeouts(&service),
        (Some(Duration::from_millis(3_100)), Some(seconds(3_600)))
    );
    let service = BedrockService::new(&configured).unwrap();
    assert_eq!(
        timeouts(&service),
        (Some(Duration::from_millis(3_100)), Some(seconds(7)))
    );
    let builder = BedrockService::builder()
        .read_timeout(seconds(9))
        .connect_timeout(seconds(1));
    let service = builder.build(&configured).unwrap();
    assert_eq!(timeouts(&service), (Some(seconds(1)), Some(seconds(9))));
}

#[test]
fn what_is_handed_out_can_be_sent_between_threads() {
    fn send<T: Send>() {}
    fn send_sync<T: Send + Sync + Clone>() {}
    send::<tower_bedrock_service::ConverseEvents>();
    send::<tower_bedrock_service::InvokeModelChunks>();
    send::<tower_bedrock_service::ResponseFuture<()>>();
    send_sync::<BedrockService>();
    fn error<T: std::error::Error + Send + Sync>() {}
    error::<tower_bedrock_service::Error>();
}
