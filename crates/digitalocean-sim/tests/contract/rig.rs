//! A simulator, on a port, behind Prism.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentopia_domain::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use digitalocean_sim::settings::{Delay, Delays, RateLimits};
use digitalocean_sim::{FULL_TOKEN, Options, Settings, Simulator, router, serve};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::prism::{Operation, Prism};

/// The simulator's own clock is moved instead.
#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
    }
}

pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    pub(crate) prism: Prism,
    client: Client,
    server: JoinHandle<()>,
    /// Calls that were made: method, path, status.
    calls: Mutex<Vec<(String, String, u16)>>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// An answer, and what Prism has against it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) violations: Vec<Value>,
}

impl Answer {
    /// What Prism has against the answer itself.
    pub(crate) fn own_violations(&self) -> Vec<&Value> {
        let of_answer = |violation: &&Value| violation["location"][0] == "response";
        self.violations.iter().filter(of_answer).collect()
    }
}

impl Rig {
    /// Creating takes 20 s, addresses 5 s more, actions 5 s, deleting 8 s, firewalls 2 s.
    pub(crate) async fn start() -> Self {
        Self::with(false).await
    }

    /// With a Prism that answers errors of its own.
    pub(crate) async fn strict() -> Self {
        Self::with(true).await
    }

    async fn with(strict: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let seconds = |seconds| Delay::exactly(Duration::from_secs(seconds));
        let mut options = Options::new(1, Arc::new(Standing));
        options.settings = Settings {
            delays: Delays {
                create: seconds(20),
                address: seconds(5),
                power: seconds(5),
                shutdown: seconds(5),
                resize: seconds(5),
                other_action: seconds(5),
                delete: seconds(8),
                firewall: seconds(2),
                image: seconds(30),
                ..Delays::none()
            },
            rate_limits: RateLimits {
                hourly: 1_000_000,
                burst: 1_000_000,
                keys: 1_000_000,
            },
            ..Settings::default()
        };
        let simulator = Simulator::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", listener.local_addr().unwrap());
        let api = router(simulator.clone());
        let server = tokio::spawn(async move {
            let Err(error) = serve::serve(listener, api).await;
            panic!("{error}");
        });
        // Prism says that an empty answer has two bytes: a connection is used once.
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self {
            prism: Prism::start(&upstream, strict).await,
            simulator,
            client,
            server,
            calls: Mutex::default(),
        }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.simulator.clock().advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn call(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let url = format!("{}{path}", self.prism.url);
        let mut request = self.client.request(method.parse::<Method>().unwrap(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let violations = answer.headers().get("sl-violations");
        let violations = violations.map_or_else(Vec::new, |value| {
            serde_json::from_slice(value.as_bytes()).unwrap()
        });
        let text = answer.text().await.unwrap();
        let call = (method.to_owned(), path.to_owned(), status);
        self.calls.lock().unwrap().push(call);
        Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
            violations,
        }
    }

    /// A call that is right, answered with `status`; Prism has nothing against any of it.
    pub(crate) async fn good(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Value {
        let answer = self
            .call(Some(FULL_TOKEN), method, path, body.as_ref())
            .await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(
            answer.violations.is_empty(),
            "{method} {path}: {:#?}",
            answer.violations
        );
        answer.body
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.good("GET", path, None, 200).await
    }

    /// A call that the contract itself leaves no right form for; Prism has nothing against the answer.
    pub(crate) async fn odd(&self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let answer = self.call(Some(FULL_TOKEN), method, path, Some(&body)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(
            answer.own_violations().is_empty(),
            "{method} {path}: {:#?}",
            answer.violations
        );
        answer.body
    }

    /// A call that is refused with `status`, in the shape of errors; Prism has nothing against the
    /// answer.
    pub(crate) async fn bad(&self, method: &str, path: &str, body: Option<Value>, status: u16) {
        let answer = self
            .call(Some(FULL_TOKEN), method, path, body.as_ref())
            .await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_error(&answer, &format!("{method} {path}"));
    }

    /// A droplet that is being made; its id.
    pub(crate) async fn create(&self, tag: &str) -> u64 {
        let made = self
            .good("POST", "/v2/droplets", Some(wish(tag)), 202)
            .await;
        made["droplet"]["id"].as_u64().unwrap()
    }

    /// A droplet that is on and has its address.
    pub(crate) async fn active(&self, tag: &str) -> u64 {
        let droplet = self.create(tag).await;
        self.pass(25);
        droplet
    }

    pub(crate) async fn act(&self, droplet: u64, action: Value) -> u64 {
        let path = format!("/v2/droplets/{droplet}/actions");
        let begun = self.good("POST", &path, Some(action), 201).await;
        begun["action"]["id"].as_u64().unwrap()
    }

    /// Operations of the contract that were not answered with such a status.
    pub(crate) fn never(&self, answered: impl Fn(u16) -> bool) -> Vec<Operation> {
        let operations = Operation::all();
        let calls = self.calls.lock().unwrap();
        let reached: Vec<_> = calls
            .iter()
            .filter(|(.., status)| answered(*status))
            .filter_map(|(method, path, _)| {
                let fitting = operations
                    .iter()
                    .filter_map(|o| Some((o.fits(method, path)?, o)));
                fitting.max().map(|(_, operation)| operation)
            })
            .collect();
        let never = operations
            .iter()
            .filter(|operation| !reached.contains(operation));
        never.cloned().collect()
    }
}

/// The answer is an error in the right shape, and Prism has nothing against it.
pub(crate) fn assert_error(answer: &Answer, call: &str) {
    let violations = answer.own_violations();
    assert!(violations.is_empty(), "{call}: {violations:#?}");
    for field in ["id", "message", "request_id"] {
        assert!(answer.body[field].is_string(), "{call}: {}", answer.body);
    }
}

pub(crate) fn wish(tag: &str) -> Value {
    json!({
        "name": "web",
        "region": "fra1",
        "size": "s-1vcpu-2gb",
        "image": "ubuntu-24-04-x64",
        "tags": [tag],
        "user_data": "#cloud-config\n",
    })
}
