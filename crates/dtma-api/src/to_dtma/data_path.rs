//! The HTTP client of the MCP data path: requests that must not be made twice, on connections that
//! can say whether one got anywhere ([`super::watched`]). Calls have a cheaper way ([`super::calls`]); what is
//! here is for streams, of which there may be thousands and which share one connection.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::watched::{LastWrite, Ticks, WatchedConnector};
use crate::http::{CallError, Sent, chain};

/// See the module's header. Cheap to clone; connections are pooled and multiplexed (HTTP/2).
#[derive(Debug, Clone)]
pub(super) struct DataPath {
    client: Client<HttpsConnector<WatchedConnector>, Full<Bytes>>,
    ticks: Ticks,
}

impl DataPath {
    pub(super) fn new(tls: ClientConfig, connect_limit: Duration) -> Self {
        let mut http = HttpConnector::new();
        // The connector around it speaks TLS.
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(connect_limit));
        let ticks = Ticks::default();
        let watched = WatchedConnector {
            http,
            ticks: ticks.clone(),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(HttpsConnector::from((watched, tls)));
        Self { client, ticks }
    }

    pub(super) async fn send(
        &self,
        who: &'static str,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Incoming>, CallError> {
        let made_at = self.ticks.next();
        let sending = self.client.request(request.map(Full::new));
        sending.await.map_err(|error| {
            let sent = how_far(&error, made_at);
            CallError::Unreachable(who, chain(&error), sent)
        })
    }
}

/// How far a request got that was made at a tick and ended with an error.
fn how_far(error: &Error, made_at: u64) -> Sent {
    if error.is_connect() {
        return Sent::No;
    }
    let mut extras = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    match extras.get::<LastWrite>() {
        Some(last_write) if !last_write.is_after(made_at) => Sent::No,
        _ => Sent::Perhaps,
    }
}
