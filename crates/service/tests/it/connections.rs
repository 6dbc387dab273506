//! What clones and Regions share, and what dropping gives back.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_bedrockruntime::{
    Client,
    config::{
        BehaviorVersion, ConfigBag, Credentials, Intercept, RuntimeComponents,
        SharedCredentialsProvider, interceptors::BeforeSerializationInterceptorContextMut,
    },
    error::BoxError,
    operation::converse::ConverseInput,
};
use tokio::sync::Barrier;
use tower::{Service, ServiceExt};
use tower_bedrock_core::Target;
use tower_bedrock_service::{BedrockInput, BedrockService};

use crate::{
    MODEL, ask, aws_config, converse, converse_stream, invoke_model, send,
    server::{Reply, Server},
    service, wire,
};

#[tokio::test]
async fn clones_and_regions_share_connections() {
    let server = Server::healthy().await;
    let service = service(&server);

    for region in ["us-east-1", "us-west-2", "eu-west-1", "us-east-1"] {
        let clone = service.clone();
        let invocation = converse()
            .into_invocation(&region.parse().unwrap())
            .unwrap();
        send(&clone, invocation).await.unwrap();
    }
    // A stream that was read to its end gives its connection back.
    let mut stream = ask(&service, converse_stream()).await.unwrap();
    while stream.recv().await.unwrap().is_some() {}
    drop(stream);
    ask(&service, converse()).await.unwrap();

    assert_eq!(server.requests().len(), 6);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn regions_beyond_the_bound_make_room() {
    let server = Server::healthy().await;
    let config = aws_config().endpoint_url(server.url()).build();
    for max_regions in [1, 2] {
        let service = BedrockService::builder()
            .max_regions(max_regions)
            .build(&config)
            .unwrap();
        for n in 0..20 {
            let target = Target::parse(&format!("us-east-{}", n % 5), MODEL).unwrap();
            let invocation = service.invocation(converse()).unwrap();
            let mut invocation = invocation;
            tower_bedrock_core::HasTarget::set_target(&mut invocation, target);
            send(&service, invocation).await.unwrap();
        }
        let shown = format!("{service:?}");
        let kept: usize = shown
            .split("regions: ")
            .nth(1)
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
            .unwrap()
            .parse()
            .unwrap();
        assert!(kept <= max_regions, "{shown}");
    }
    let regions: Vec<_> = server
        .requests()
        .iter()
        .map(|r| r.region().to_owned())
        .collect();
    let wanted: Vec<_> = (0..40).map(|n| format!("us-east-{}", n % 5)).collect();
    assert_eq!(regions, wanted);
}

#[tokio::test]
async fn connections_to_a_host_can_be_bounded() {
    let server = Server::healthy().await;
    let config = aws_config().endpoint_url(server.url()).build();
    let service = BedrockService::builder()
        .max_connections_per_host(2)
        .build(&config)
        .unwrap();
    let calls = (0..20).map(|_| ask(&service, converse()));
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap();
    }
    assert!(server.connections() <= 2, "{}", server.connections());
}

#[tokio::test]
async fn calls_dropped_at_any_point_leak_no_connection() {
    let server = Server::healthy().await;
    let config = aws_config().endpoint_url(server.url()).build();
    // Two, so that a lost one would soon be missed.
    let service = BedrockService::builder()
        .max_connections_per_host(2)
        .build(&config)
        .unwrap();
    let mut finished = 0;
    for polls in 0..100 {
        let unary = up_to(polls, ask(&service, converse()));
        let streamed = up_to(polls, async {
            let mut stream = ask(&service, converse_stream()).await.unwrap();
            while stream.recv().await.unwrap().is_some() {}
        });
        let (unary, streamed) = tokio::join!(unary, streamed);
        finished += usize::from(unary.is_some()) + usize::from(streamed.is_some());
    }
    assert!((1..200).contains(&finished), "{finished}");
    ask(&service, converse()).await.unwrap();
}

/// Drops a future after so many polls.
async fn up_to<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        // Polled again at once, so that the server gets no further than chance has it.
        cx.waker().wake_by_ref();
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

#[tokio::test]
async fn regions_share_credentials() {
    #[derive(Debug, Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.0.fetch_add(1, Ordering::SeqCst);
            let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
            future::ProvideCredentials::ready(Ok(credentials))
        }
    }

    let server = Server::healthy().await;
    let provider = Counting::default();
    let config = aws_config()
        .endpoint_url(server.url())
        .credentials_provider(SharedCredentialsProvider::new(provider.clone()))
        .build();
    let service = BedrockService::new(&config).unwrap();
    for region in ["us-east-1", "us-west-2", "eu-west-1"] {
        let invocation = converse()
            .into_invocation(&region.parse().unwrap())
            .unwrap();
        send(&service, invocation).await.unwrap();
    }
    assert_eq!(provider.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn interceptors_of_ones_own_see_the_input() {
    #[derive(Debug, Clone, Default)]
    struct Reading(Arc<Mutex<Vec<String>>>);

    impl Intercept for Reading {
        fn name(&self) -> &'static str {
            "Reading"
        }

        fn modify_before_serialization(
            &self,
            context: &mut BeforeSerializationInterceptorContextMut<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            let input = context.input_mut().downcast_mut::<ConverseInput>().unwrap();
            let read = input.model_id.clone().unwrap();
            self.0.lock().unwrap().push(read);
            input.request_metadata = Some([("seen".to_owned(), "yes".to_owned())].into());
            Ok(())
        }
    }

    let server = Server::healthy().await;
    let reading = Reading::default();
    let config = aws_sdk_bedrockruntime::config::Builder::from(
        &aws_config().endpoint_url(server.url()).build(),
    )
    .behavior_version(BehaviorVersion::latest())
    .interceptor(reading.clone())
    .build();
    let service = BedrockService::from_client(&Client::from_conf(config)).unwrap();
    ask(&service, converse()).await.unwrap();

    assert_eq!(*reading.0.lock().unwrap(), [MODEL]);
    assert_eq!(
        server.only_request().json()["requestMetadata"]["seen"],
        "yes"
    );
}

/// The time after which the kernel would send a keep-alive probe to the server, in ticks of 10 ms.
#[cfg(target_os = "linux")]
async fn ticks_to_keepalive(server: &Server) -> Option<u64> {
    const ESTABLISHED: &str = "01";
    let remote = format!("0100007F:{:04X}", server.port());
    loop {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let connection = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|fields| fields[2] == remote && fields[3] == ESTABLISHED)
            .unwrap();
        let (timer, ticks) = connection[5].split_once(':').unwrap();
        match timer {
            "00" => return None,
            "02" => return Some(u64::from_str_radix(ticks, 16).unwrap()),
            // Something is still to be acknowledged.
            _ => tokio::task::yield_now().await,
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn silent_connections_are_kept_alive() {
    let server = Server::healthy().await;
    let config = aws_config().endpoint_url(server.url()).build();
    let service = BedrockService::new(&config).unwrap();
    ask(&service, converse()).await.unwrap();
    let ticks = ticks_to_keepalive(&server).await.unwrap();
    assert!(ticks <= 4_500, "{ticks}");

    let server = Server::healthy().await;
    let config = aws_config().endpoint_url(server.url()).build();
    let service = BedrockService::builder()
        .tcp_keepalive(None)
        .build(&config)
        .unwrap();
    ask(&service, converse()).await.unwrap();
    assert_eq!(ticks_to_keepalive(&server).await, None);
}

#[tokio::test]
async fn dropping_a_call_hangs_up() {
    let frames = [wire::start()];
    let replies = [
        Reply::silence(),
        // The answer to the whole request has begun, its content has not.
        Reply::cut_stream(&frames).hang(),
    ];
    for reply in replies {
        let arrived = Arc::new(Barrier::new(2));
        let server = {
            let arrived = Arc::clone(&arrived);
            Server::start(move |_| {
                let arrived = Arc::clone(&arrived);
                tokio::spawn(async move { arrived.wait().await });
                reply.clone()
            })
            .await
        };
        let service = service(&server);
        let invocation = service.invocation(converse_stream()).unwrap();
        let call = service.oneshot(invocation);
        tokio::select! {
            _ = call => panic!("answered"),
            _ = arrived.wait() => {}
        }
        server.hang_up().await;
        server.only_request();
    }
}

#[tokio::test]
async fn a_call_that_is_never_polled_sends_nothing() {
    let server = Server::healthy().await;
    let service = service(&server);
    let invocation = service.invocation(converse()).unwrap();
    drop(service.clone().call(invocation));
    ask(&service, invoke_model("{}")).await.unwrap();
    assert!(server.only_request().path.ends_with("/invoke"));
}

#[tokio::test]
async fn a_client_of_ones_own_keeps_its_configuration_but_not_its_retries() {
    let server = Server::always(Reply::error(429, "ThrottlingException", "Too many tokens.")).await;
    let config = aws_sdk_bedrockruntime::config::Builder::from(
        &aws_config().endpoint_url(server.url()).build(),
    )
    .behavior_version(BehaviorVersion::latest())
    .build();
    let client = Client::from_conf(config);
    let service = BedrockService::from_client(&client).unwrap();
    assert_eq!(service.default_region().unwrap().as_str(), "us-east-1");
    ask(&service, converse()).await.unwrap_err();

    // Another Region, by the same configuration.
    let invocation = converse()
        .into_invocation(&"eu-west-1".parse().unwrap())
        .unwrap();
    send(&service, invocation).await.unwrap_err();
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].region(), "eu-west-1");

    // The SDK's own client is there too, for what is no service here.
    let client = service.client(&"us-west-2".parse().unwrap());
    client.converse().model_id(MODEL).send().await.unwrap_err();
    assert_eq!(server.requests()[2].region(), "us-west-2");
}
