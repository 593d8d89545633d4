//! The environment reconciler with DigitalOcean's simulator in this process, on one clock that
//! stands still until a test moves it. The machine's management agent is played here: it reports
//! some seconds after its droplet was turned on, and as long as that is on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentopia_cloud::bootstrap::{AgentSource, Programs};
use agentopia_control_plane::machines::Connections;
use agentopia_control_plane::reconcilers::Bells;
use agentopia_control_plane::reconcilers::environment::EnvironmentReconciler;
use agentopia_control_plane::reconcilers::queue::{Next, Reconcile as _};
use agentopia_digitalocean::droplets::{ImageRef, NewDroplet};
use agentopia_digitalocean::firewalls::Firewall;
use agentopia_digitalocean::provider::{DigitalOceanProvider, ProviderSettings};
use agentopia_digitalocean::{
    Budget, Client, DropletName, Endpoint, Limits, TagName, Transport, TransportError,
};
use agentopia_domain::environment::{
    DesiredEnvironment, Environment, EnvironmentEvent, EnvironmentStatus, LostMachine,
};
use agentopia_domain::event::Event;
use agentopia_domain::resources::Capacity;
use agentopia_domain::{AccountId, Ambient, Clock, EnvironmentId, SystemClock, SystemEntropy};
use agentopia_store::{
    Claim, EnvironmentPatch, EventFilter, EventScope, LeaseKind, MachineHeartbeat,
};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use digitalocean_sim::faults::{ResourceFault, ResourceRule, When};
use digitalocean_sim::settings::{Delay, Delays, RateLimits, Scopes};
use digitalocean_sim::{AnswerLost, DropletView, FULL_TOKEN, Options, Simulator, Token, router};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use secrecy::SecretString;
use tower::ServiceExt as _;

use crate::installation::Installation;

/// How long a machine takes from power to the first word of its agent.
const BOOT: TimeDelta = TimeDelta::seconds(20);
/// Seconds between two of its words.
const BEAT: u64 = 5;

/// Stands still until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock(Mutex<DateTime<Utc>>);

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock()
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
        if answer.extensions().get::<AnswerLost>().is_some() {
            return Err(TransportError::unanswered("closed"));
        }
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

/// An installation whose machines are droplets, with one account.
pub(crate) struct Droplets {
    pub(crate) at: Installation,
    pub(crate) simulator: Simulator,
    pub(crate) account: AccountId,
    pub(crate) environment: EnvironmentId,
    clock: Arc<ManualClock>,
    claim: Claim,
    /// What the operator configured; taken up by [`Self::restart`].
    pub(crate) settings: ProviderSettings,
    /// The reconciler of the control plane that runs now.
    pub(crate) reconciler: EnvironmentReconciler,
    /// Since when droplets have been on.
    on_since: BTreeMap<String, DateTime<Utc>>,
    /// Whether agents report at all.
    pub(crate) is_mute: bool,
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

impl Droplets {
    /// Nothing is made yet.
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock(Mutex::new(SystemClock.now())));
        let ambient = Ambient::new(Arc::clone(&clock) as _, Arc::new(SystemEntropy));
        let at = Installation::at(ambient).await;
        let seconds = |count| Delay::exactly(Duration::from_secs(count));
        let mut options = Options::new(1, Arc::clone(&clock) as _);
        options.settings.delays = Delays {
            create: seconds(20),
            delete: seconds(8),
            shutdown: seconds(10),
            power: seconds(5),
            resize: seconds(40),
            ..Delays::none()
        };
        // An hour passes here in a second, and budgets know nothing of that.
        options.settings.rate_limits = RateLimits {
            hourly: 1_000_000,
            burst: 1_000_000,
            keys: 1_000_000,
        };
        let simulator = Simulator::new(options);
        let (account, environment) = at.environment("a@b.c").await;
        let (leases, ttl) = (at.store.leases(), Duration::from_secs(3600));
        let claims = leases.claim_due(LeaseKind::Environment, "test", ttl, 10);
        let [claim] = claims.await.unwrap()[..] else {
            panic!("one environment");
        };
        let settings = settings();
        let reconciler = reconciler(&at, &simulator, &settings, FULL_TOKEN);
        Self {
            at,
            simulator,
            account,
            environment,
            clock,
            claim,
            settings,
            reconciler,
            on_since: BTreeMap::new(),
            is_mute: false,
        }
    }

    /// With a machine that serves.
    pub(crate) async fn active() -> Self {
        let mut droplets = Self::new().await;
        droplets.become_active().await;
        droplets
    }

    /// Goes on until the machine serves.
    pub(crate) async fn become_active(&mut self) {
        let droplets = self;
        droplets
            .until(|now| now.status == EnvironmentStatus::Creating && now.machine_id.is_some())
            .await;
        // Enrolment has tests of its own.
        droplets.pass(60).await;
        let environments = droplets.at.store.environments();
        let (id, patch) = (droplets.environment, EnvironmentPatch::default());
        let ready = EnvironmentEvent::Ready;
        environments
            .transition_unscoped(id, None, EnvironmentStatus::Creating, ready, patch, &[])
            .await
            .unwrap();
        droplets.step().await;
    }

    /// The control plane is restarted: all that it had in memory is gone.
    pub(crate) fn restart(&mut self) {
        self.reconciler = reconciler(&self.at, &self.simulator, &self.settings, FULL_TOKEN);
    }

    pub(crate) async fn now(&self) -> Environment {
        let environments = self.at.store.environments();
        environments.get_unscoped(self.environment).await.unwrap()
    }

    /// The reconciler looks once.
    pub(crate) async fn step(&self) -> Next {
        self.reconciler.reconcile(self.claim).await.unwrap()
    }

    /// Time passes for everybody; agents report every few seconds.
    pub(crate) async fn pass(&mut self, seconds: u64) {
        let mut left = seconds;
        while left > 0 {
            let pace = left.min(BEAT);
            left -= pace;
            *self.clock.0.lock() += TimeDelta::from_std(Duration::from_secs(pace)).unwrap();
            self.simulator.tick().await;
            self.agents_report().await;
        }
    }

    async fn agents_report(&mut self) {
        let now = self.clock.now();
        let droplets = self.simulator.droplets().await;
        let known = self.now().await.machine_id;
        let on = |droplet: &&DropletView| droplet.status == "active" && !droplet.leaving;
        let on: Vec<String> = droplets
            .iter()
            .filter(on)
            .map(|droplet| droplet.id.to_string())
            .collect();
        self.on_since.retain(|id, _| on.contains(id));
        for id in on {
            let since = *self.on_since.entry(id.clone()).or_insert(now);
            if self.is_mute || known.as_ref() != Some(&id) || now - since < BOOT {
                continue;
            }
            let heartbeat = MachineHeartbeat {
                dtma_version: "0.0.0".to_owned(),
                capacity: Capacity::default(),
                runtime: "docker".to_owned(),
                ip_address: None,
                dtma_port: None,
            };
            let environments = self.at.store.environments();
            environments
                .record_heartbeat_unscoped(self.environment, &heartbeat)
                .await
                .unwrap();
        }
    }

    /// Goes on until the environment is as wished for.
    pub(crate) async fn until(&mut self, is_so: impl Fn(&Environment) -> bool) -> Environment {
        for _ in 0..2000 {
            let now = self.now().await;
            if is_so(&now) {
                return now;
            }
            let wait = match self.step().await {
                Next::After(wait) => wait.as_secs().max(1),
                Next::Never => 60,
            };
            self.pass(wait.min(60)).await;
        }
        panic!("never so: {:?}", self.now().await);
    }

    pub(crate) async fn scale(&self, size: &str) {
        let environments = self.at.store.environments();
        environments
            .begin_scaling(self.account, size, None, &[])
            .await
            .unwrap();
    }

    /// What befalls the next occasion, or every one of them.
    pub(crate) fn fault(&self, fault: ResourceFault, action: Option<&str>, when: When) {
        let mut rule = ResourceRule::new(fault);
        rule.action = action.map(str::to_owned);
        rule.when = when;
        self.simulator.add_resource_fault(rule);
    }

    /// A droplet that somebody made by hand.
    pub(crate) async fn stranger(&self, name: &str, tags: &[&str]) {
        let image = ImageRef::Slug("ubuntu-24-04-x64".into());
        let name = DropletName::parse(name).unwrap();
        let mut new = NewDroplet::new(name, "s-1vcpu-1gb", image);
        new.region = Some("fra1".to_owned());
        let tags = tags.iter().map(|&tag| TagName::parse(tag).unwrap());
        new.tags = tags.collect();
        let api = self.api();
        api.droplets().create(&new).await.unwrap();
    }

    /// The client of the control plane's token.
    pub(crate) fn api(&self) -> Client {
        api(&self.at, &self.simulator, FULL_TOKEN)
    }

    /// The account turns its environment on, or off.
    pub(crate) async fn want(&self, desired: DesiredEnvironment) {
        let environments = self.at.store.environments();
        let wanted = environments.set_desired(self.account, desired, &[]).await;
        assert!(wanted.unwrap().changed);
    }

    /// From now on the control plane's token has these scopes and no more.
    pub(crate) fn allow(&self, scopes: &[&str]) {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self.simulator.set_tokens(vec![Token {
            name: "ours".to_owned(),
            secret: FULL_TOKEN.into(),
            scopes: Scopes::Only(scopes),
        }]);
    }

    /// Looks often enough for everything to be undone.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..60 {
            self.step().await;
            self.pass(5).await;
        }
    }

    /// Somebody takes a tag off everything.
    pub(crate) async fn delete_tag(&self, tag: &str) {
        let api = self.api();
        let tag = TagName::parse(tag).unwrap();
        api.tags().delete(&tag).await.unwrap();
    }

    pub(crate) async fn droplets(&self) -> Vec<DropletView> {
        self.simulator.droplets().await
    }

    /// Every firewall but the common one.
    pub(crate) async fn own_firewalls(&self) -> Vec<Firewall> {
        let api = self.api();
        let mut all = api.firewalls().list().all().await.unwrap();
        all.retain(|firewall| firewall.name != "agentopia-test");
        all
    }

    pub(crate) async fn timeline(&self) -> Vec<Event> {
        let scope = EventScope::Account(self.account);
        let filter = EventFilter::default();
        let events = self.at.store.events().after(scope, &filter, 0, 1000).await;
        events.unwrap()
    }
}

fn api(at: &Installation, simulator: &Simulator, token: &str) -> Client {
    Client::new(
        Arc::new(InProcess(router(simulator.clone()))),
        Endpoint::production(),
        SecretString::from(token),
        Budget::with_limits(Limits {
            per_hour: 1_000_000,
            per_minute: 1_000_000,
            keys_per_minute: 1_000_000,
        }),
        at.ambient.clone(),
    )
    .unwrap()
}

/// That of one control plane, which has this token.
pub(crate) fn reconciler(
    at: &Installation,
    simulator: &Simulator,
    settings: &ProviderSettings,
    token: &str,
) -> EnvironmentReconciler {
    let api = api(at, simulator, token);
    EnvironmentReconciler {
        store: at.store.clone(),
        vault: Arc::clone(&at.vault),
        authority: Arc::clone(&at.authority),
        machines: Arc::new(Connections::new(
            at.store.clone(),
            Arc::clone(&at.vault),
            Arc::clone(&at.authority),
        )),
        provider: Arc::new(DigitalOceanProvider::new(api, settings.clone()).unwrap()),
        control_plane_url: at.url.clone(),
        ambient: at.ambient.clone(),
        lost_machine: LostMachine::default(),
        bells: Bells::default(),
    }
}
