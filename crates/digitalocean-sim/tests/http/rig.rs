//! A simulator to be called, its clock, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Clock;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use chrono::{DateTime, TimeDelta, Utc};
use digitalocean_sim::settings::{Delay, Delays};
use digitalocean_sim::{
    AnswerLost, FULL_TOKEN, FaultPlan, Options, Simulator, admin_router, router,
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// A clock that stands; the simulator's own is moved instead.
#[derive(Debug)]
pub(crate) struct Standing;

impl Clock for Standing {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }
}

/// A simulator under test.
pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    api: Router,
    admin: Router,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) lost: Option<AnswerLost>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body, of an answer with this status.
    #[track_caller]
    pub(crate) fn with(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The message of a refusal with this status.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> String {
        let body = self.with(status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        body["message"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Rig {
    /// Without delays: everything is done by the next request.
    pub(crate) fn new() -> Self {
        let mut options = options(1);
        options.settings.delays = Delays::none();
        Self::of(options)
    }

    /// Creating takes 20 s, deleting 8 s, actions 5 s, a resize 60 s; addresses come 2 s late.
    pub(crate) fn slow() -> Self {
        let seconds = |seconds| Delay::exactly(Duration::from_secs(seconds));
        let mut options = options(1);
        options.settings.delays = Delays {
            create: seconds(20),
            address: seconds(2),
            power: seconds(5),
            shutdown: seconds(5),
            resize: seconds(60),
            other_action: seconds(5),
            delete: seconds(8),
            firewall: seconds(2),
            image: seconds(30),
            ..Delays::none()
        };
        Self::of(options)
    }

    pub(crate) fn with_faults(toml: &str) -> Self {
        let rig = Self::new();
        rig.simulator.set_faults(plan(toml));
        rig
    }

    pub(crate) fn of(options: Options) -> Self {
        let simulator = Simulator::new(options);
        Self {
            api: router(simulator.clone()),
            admin: admin_router(simulator.clone()),
            simulator,
        }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.simulator.clock().advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_as(FULL_TOKEN, method, path, body).await
    }

    pub(crate) async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        answer_of(&self.api, request).await
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = Request::builder().method(method).uri(path).body(body);
        answer_of(&self.admin, request.unwrap()).await
    }

    /// A droplet with a tag; its id.
    pub(crate) async fn droplet(&self, tag: &str) -> u64 {
        let answer = self.post("/v2/droplets", wish("web", tag)).await;
        answer.with(202)["droplet"]["id"].as_u64().unwrap()
    }

    pub(crate) async fn status(&self, droplet: u64) -> String {
        let shown = self.get(&format!("/v2/droplets/{droplet}")).await.with(200);
        shown["droplet"]["status"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn act(&self, droplet: u64, body: Value) -> Answer {
        self.post(&format!("/v2/droplets/{droplet}/actions"), body)
            .await
    }
}

async fn answer_of(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
        lost: parts.extensions.get().copied(),
    }
}

pub(crate) fn options(seed: u64) -> Options {
    Options::new(seed, Arc::new(Standing))
}

pub(crate) fn plan(toml: &str) -> FaultPlan {
    toml::from_str(toml).unwrap()
}

pub(crate) fn wish(name: &str, tag: &str) -> Value {
    json!({
        "name": name,
        "region": "fra1",
        "size": "s-1vcpu-2gb",
        "image": "ubuntu-24-04-x64",
        "tags": [tag],
    })
}
