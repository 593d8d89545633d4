//! The least that a proxy in Rust can do: hyper on both sides, bodies passed on as they come.

use std::convert::Infallible;

use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::role::tell;

type Forward = Client<HttpConnector, Incoming>;

pub(super) async fn serve(upstream: &str) -> anyhow::Result<()> {
    let upstream: Uri = upstream.parse()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Forward = Client::builder(TokioExecutor::new()).build(connector);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tell(&format!("http://{}/mcp", listener.local_addr()?), None);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), upstream.clone());
        tokio::spawn(async move {
            let service = service_fn(|mut request: Request<Incoming>| {
                *request.uri_mut() = upstream.clone();
                let sending = client.request(request);
                async {
                    let answer = match sending.await {
                        Ok(answer) => answer.map(|body| body.boxed()),
                        Err(_) => unreachable_upstream(),
                    };
                    Ok::<_, Infallible>(answer)
                }
            });
            let _gone = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn unreachable_upstream() -> Response<BoxBody<Bytes, hyper::Error>> {
    let nothing = Empty::new().map_err(|never| match never {}).boxed();
    let mut response = Response::new(nothing);
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
