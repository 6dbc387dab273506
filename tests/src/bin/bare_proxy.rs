//! A reverse proxy that does nothing but pass bytes on: what a proxy written with hyper costs at the least,
//! and so the limit the gateway is measured against.
//!
//! `bare_proxy LISTEN UPSTREAM`, both `HOST:PORT`.

use std::env;

use anyhow::{Context, Result};
use hyper::{
    Request,
    body::Incoming,
    header::HOST,
    http::{HeaderValue, uri},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let mut arg = || args.next().context("usage: bare_proxy LISTEN UPSTREAM");
    let listener = TcpListener::bind(arg()?).await?;
    let upstream: uri::Authority = arg()?.parse()?;
    let host = HeaderValue::try_from(upstream.as_str())?;

    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build::<_, Incoming>(connector);

    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, upstream, host) = (client.clone(), upstream.clone(), host.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let mut parts = request.uri().clone().into_parts();
            parts.scheme = Some(uri::Scheme::HTTP);
            parts.authority = Some(upstream.clone());
            request.headers_mut().insert(HOST, host.clone());
            let client = client.clone();
            async move {
                *request.uri_mut() = parts.try_into()?;
                anyhow::Ok(client.request(request).await?)
            }
        });
        tokio::spawn(async move {
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                eprintln!("{error}");
            }
        });
    }
}
