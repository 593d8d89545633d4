//! A provider on a simulator: the client's transport calls the simulator's router.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_cloud::bootstrap::{AgentSource, Programs};
use agentopia_cloud::{Bootstrap, Deletion, MachineProvider as _, MachineRequest, Sought};
use agentopia_digitalocean::provider::{DigitalOceanProvider, ProviderSettings};
use agentopia_digitalocean::{Budget, Client, Endpoint, Transport, TransportError};
use agentopia_domain::{Ambient, Clock, Entropy, EnvironmentId};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use digitalocean_sim::faults::{RequestRule, ResourceFault, ResourceRule};
use digitalocean_sim::journal::JournalFilter;
use digitalocean_sim::settings::{Delay, Delays};
use digitalocean_sim::{AnswerLost, FULL_TOKEN, Options, Simulator, router};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;

/// Goes with tokio's time, which stands still in these tests unless somebody waits.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
            + TimeDelta::from_std(self.0.elapsed()).unwrap()
    }
}

#[derive(Debug)]
struct Ones;

impl Entropy for Ones {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0xff);
    }
}

/// The simulator as the network shows it.
#[derive(Debug)]
struct InProcess(Router);

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let call = self.0.clone().oneshot(request.map(Body::from));
        let answer = call.await.map_err(|error| match error {})?;
        match answer.extensions().get() {
            Some(AnswerLost::Closed) => return Err(TransportError::unanswered("closed")),
            Some(AnswerLost::Silent) => std::future::pending().await,
            None => {}
        }
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

pub(crate) struct Rig {
    pub(crate) simulator: Simulator,
    pub(crate) provider: DigitalOceanProvider,
    pub(crate) environment: EnvironmentId,
    pub(crate) api: Client,
}

pub(crate) fn settings() -> ProviderSettings {
    ProviderSettings {
        installation: "test".to_owned(),
        region: Some("fra1".to_owned()),
        size: Some("s-1vcpu-2gb".to_owned()),
        image: "ubuntu-24-04-x64".to_owned(),
        ssh_keys: Vec::new(),
        control_plane_ranges: vec!["203.0.113.7".to_owned()],
        admin_ranges: Vec::new(),
        icmp: false,
        project: None,
        monitoring: true,
        dtma_port: 30_000,
        agent: AgentSource::Programs(Programs {
            dtma_sha256: "ab".repeat(32),
            tool_init_sha256: "cd".repeat(32),
        }),
    }
}

impl Rig {
    /// Creating takes 20 s, deleting 8 s; an address comes 4 s after `active`; lists are right.
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: ProviderSettings) -> Self {
        let seconds = |count| Delay::exactly(Duration::from_secs(count));
        let clock: Arc<dyn Clock> = Arc::new(TokioClock(Instant::now()));
        let mut options = Options::new(1, clock.clone());
        options.settings.delays = Delays {
            create: seconds(20),
            address: seconds(4),
            delete: seconds(8),
            ..Delays::none()
        };
        let simulator = Simulator::new(options);
        let api = Client::new(
            Arc::new(InProcess(router(simulator.clone()))),
            Endpoint::production(),
            SecretString::from(FULL_TOKEN),
            Budget::default(),
            Ambient::new(clock, Arc::new(Ones)),
        )
        .unwrap();
        Self {
            provider: DigitalOceanProvider::new(api.clone(), settings).unwrap(),
            simulator,
            environment: "0199c0de-0000-7000-8000-000000000001".parse().unwrap(),
            api,
        }
    }

    /// The same account, with a provider that is told something else.
    pub(crate) fn with_provider(self, settings: ProviderSettings) -> Self {
        Self {
            provider: DigitalOceanProvider::new(self.api.clone(), settings).unwrap(),
            ..self
        }
    }

    /// The same account after a crash: whatever the provider had in memory is lost.
    pub(crate) fn restarted(&self) -> DigitalOceanProvider {
        DigitalOceanProvider::new(self.api.clone(), settings()).unwrap()
    }

    /// A create request; every one has a token of its own, as the reconciler makes them.
    pub(crate) fn request(&self, attempt: u32) -> MachineRequest {
        MachineRequest {
            environment: self.environment,
            bootstrap: Bootstrap {
                control_plane_url: "https://203.0.113.7:8443".parse().unwrap(),
                ca_fingerprint: "ef".repeat(32),
                ca_pem: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_owned(),
                control_plane_name: "control-plane.agentopia.internal".to_owned(),
                enrolment_token: SecretString::from(format!("enr_{attempt}")),
            },
            region: None,
            size: None,
            image: None,
        }
    }

    pub(crate) fn sought<'a>(&self, known: Option<&'a str>) -> Sought<'a> {
        Sought {
            environment: self.environment,
            known,
        }
    }

    pub(crate) fn request_fault(&self, rule: RequestRule) {
        self.simulator.add_request_fault(rule);
    }

    pub(crate) fn resource_fault(&self, fault: ResourceFault, seconds: u64) {
        let mut rule = ResourceRule::new(fault);
        rule.delay = Some(Delay::exactly(Duration::from_secs(seconds)));
        rule.when = digitalocean_sim::faults::When::nth(1);
        self.simulator.add_resource_fault(rule);
    }

    /// How many create requests arrived, and how many droplets they made.
    pub(crate) fn creates(&self) -> (usize, usize) {
        let filter = JournalFilter {
            method: Some("POST".to_owned()),
            path: Some("/v2/droplets".to_owned()),
            ..JournalFilter::default()
        };
        let entries = self.simulator.journal(&filter);
        (
            entries.len(),
            entries.iter().map(|entry| entry.created.len()).sum(),
        )
    }

    /// The droplets that exist, those that linger included.
    pub(crate) async fn droplets(&self) -> Vec<String> {
        let all = self.simulator.droplets().await;
        all.iter().map(|droplet| droplet.id.to_string()).collect()
    }

    /// Deletes until it is gone; how often it was asked.
    pub(crate) async fn delete(&self, known: Option<&str>) -> u32 {
        for asked in 1..100 {
            if self.provider.delete(self.sought(known)).await.unwrap() == Deletion::Gone {
                return asked;
            }
            sleep(Duration::from_secs(2)).await;
        }
        panic!("it is never gone");
    }
}

/// Waits; the clocks of all sides go on.
pub(crate) async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

pub(crate) fn is_public(address: std::net::IpAddr) -> bool {
    address != std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)
}
