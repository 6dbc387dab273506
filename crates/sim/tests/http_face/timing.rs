use bedrock_sim::{Config, Simulator, http::router};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::{Duration, Instant, advance};
use tower::ServiceExt;

use crate::support::{NOVA, hello};

/// How long a call takes whose answer is there within a fraction of a nanosecond.
async fn time_of(operation: &str) -> Duration {
    let model = format!(
        r#"time_scale = 10000
           [models."{NOVA}"]
           output_tokens = 1
           time_to_first_token_ms = 0
           tokens_per_second = 1e6"#
    );
    let simulator = Simulator::new(Config::from_toml(&model).unwrap()).unwrap();
    let request = Request::post(format!("/model/{NOVA}/{operation}"))
        .header("authorization", "Bearer anything")
        .body(Full::new(Bytes::from(hello().to_string())))
        .unwrap();
    // Timers fire on whole milliseconds.
    advance(Duration::from_micros(300)).await;
    let started = Instant::now();
    let response = ServiceExt::<Request<Full<Bytes>>>::oneshot(router(simulator), request)
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap();
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn what_is_due_already_waits_for_no_timer() {
    for operation in ["converse", "converse-stream"] {
        assert_eq!(time_of(operation).await, Duration::ZERO, "{operation}");
    }
}
