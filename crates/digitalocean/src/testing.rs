//! For unit tests: a transport that answers from a script, and time that stands still.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::{Ambient, Clock, Entropy};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, Response};
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::droplets::Droplet;
use crate::{Budget, Client, Endpoint, Transport, TransportError};

/// Must not appear anywhere but in the request.
pub(crate) const TOKEN: &str = "dop_v1_canary0123456789";

/// What becomes of one request.
#[derive(Debug)]
pub(crate) enum Step {
    Answer(Response<Bytes>),
    /// No connection.
    NeverSent,
    /// The connection broke after the request was sent.
    Lost,
    /// The connection stays open and nothing comes.
    Silent,
}

/// An answer with a JSON or any other body.
pub(crate) fn answer(status: u16, body: impl Into<String>) -> Step {
    answer_with(status, &[], body)
}

pub(crate) fn answer_with(
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl Into<String>,
) -> Step {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Step::Answer(response.body(Bytes::from(body.into())).unwrap())
}

/// A refusal of DigitalOcean's own.
pub(crate) fn refusal(status: u16, id: &str, message: &str) -> Step {
    let body = serde_json::json!({"id": id, "message": message, "request_id": "r-1"});
    answer(status, body.to_string())
}

/// What a gateway says when DigitalOcean does not.
pub(crate) fn gateway_page(status: u16) -> Step {
    answer(
        status,
        format!("<html><head><title>{status}</title></head><body>oh no</body></html>"),
    )
}

/// A request that was sent.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) host: String,
    pub(crate) body: String,
    pub(crate) at: Instant,
    /// What a transport that logs its requests would log.
    pub(crate) debug: String,
}

/// Answers from a script and remembers what it was sent. A request beyond the script is a failure.
#[derive(Debug)]
pub(crate) struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<Seen>>,
}

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(steps.into_iter().collect()),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock())
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.steps.lock().is_empty()
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let uri = request.uri();
        self.seen.lock().push(Seen {
            method: request.method().clone(),
            target: uri.path_and_query().unwrap().to_string(),
            host: uri.host().unwrap().to_owned(),
            body: String::from_utf8(request.body().to_vec()).unwrap(),
            at: Instant::now(),
            debug: format!("{request:?}"),
        });
        let step = self.steps.lock().pop_front();
        match step.expect("a request that the script does not have") {
            Step::Answer(response) => Ok(response),
            Step::NeverSent => Err(TransportError::never_sent("connection refused")),
            Step::Lost => Err(TransportError::unanswered("connection reset")),
            Step::Silent => std::future::pending().await,
        }
    }
}

/// A client of DigitalOcean's own address on a transport, with a budget of its own.
pub(crate) fn client(transport: Arc<dyn Transport>) -> Client {
    client_with(transport, Budget::default())
}

pub(crate) fn client_with(transport: Arc<dyn Transport>, budget: Budget) -> Client {
    Client::new(
        transport,
        Endpoint::production(),
        SecretString::from(TOKEN),
        budget,
        ambient(),
    )
    .unwrap()
}

/// The time of day at the start of every test.
pub(crate) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// A clock that goes with tokio's, so stands still where that is paused; pauses between attempts
/// are as long as they get.
pub(crate) fn ambient() -> Ambient {
    Ambient::new(Arc::new(TokioClock(Instant::now())), Arc::new(Highest))
}

#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> DateTime<Utc> {
        start() + TimeDelta::from_std(self.0.elapsed()).unwrap()
    }
}

#[derive(Debug)]
struct Highest;

impl Entropy for Highest {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0xff);
    }
}

/// A droplet that is there.
pub(crate) fn droplet(id: u64, name: &str, tags: &[&str]) -> Droplet {
    serde_json::from_value(droplet_json(id, name, tags)).unwrap()
}

pub(crate) fn droplet_json(id: u64, name: &str, tags: &[&str]) -> serde_json::Value {
    serde_json::json!({
        "id": id, "name": name, "status": "active", "locked": false,
        "created_at": "2026-01-02T03:04:05Z", "size_slug": "s-1vcpu-1gb", "memory": 1024,
        "vcpus": 1, "disk": 25, "networks": {"v4": [], "v6": []}, "tags": tags,
        "region": {"slug": "fra1"}, "image": {"id": 1, "slug": "ubuntu-24-04-x64"},
    })
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
