//! One life of a replica of the control plane: the product's own queue, reconcilers, provider and
//! listener, on the simulation's database, cloud and clock. What it has in memory dies with it.

use std::sync::Arc;

use agentopia_cloud::bootstrap::{AgentSource, Programs};
use agentopia_control_plane::config::Config;
use agentopia_control_plane::http::live::EventBell;
use agentopia_control_plane::machines::Connections;
use agentopia_control_plane::machines::listener::{self, ListenerState};
use agentopia_control_plane::mcp_gateway::remote::RemoteServers;
use agentopia_control_plane::packages::PackageSettings;
use agentopia_control_plane::reconcilers::environment::EnvironmentReconciler;
use agentopia_control_plane::reconcilers::instance::InstanceReconciler;
use agentopia_control_plane::reconcilers::instance::upgrade::AskTools;
use agentopia_control_plane::reconcilers::orphans::OrphanSearch;
use agentopia_control_plane::reconcilers::queue::Reconcile;
use agentopia_control_plane::reconcilers::routes::RoutesBell;
use agentopia_control_plane::reconcilers::{Bell, Bells, queue};
use agentopia_digitalocean::provider::{DigitalOceanProvider, ProviderSettings};
use agentopia_digitalocean::{Budget, Client, Endpoint};
use agentopia_domain::environment::LostMachine;
use agentopia_domain::orphan::OrphanPolicy;
use agentopia_domain::{Ambient, EnvironmentId, InstanceId};
use agentopia_remote::{RemoteClient, RemotePolicy};
use agentopia_store::Store;
use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use digitalocean_sim::FULL_TOKEN;
use http::Request;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;

use crate::cloud::Cloud;
use crate::commands::Directory;
use crate::conductor::Party;
use crate::dice::{Dice, SeededEntropy};
use crate::gate::{Gate, Role};
use crate::world::World;

/// What machines are told to call; nobody does.
const URL: &str = "https://192.0.2.1:8443";
/// From where the base firewall lets the control plane in.
const ADDRESS: &str = "192.0.2.1";
/// The installation's name, as in tags.
pub(crate) const INSTALLATION: &str = "simulation";
/// The first stream of randomness of a replica; each has two.
const STREAMS: u64 = 1000;

/// See the module's header.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    /// Which life of all.
    pub(crate) who: Party,
    /// For what people write through it.
    pub(crate) store: Store,
    pub(crate) ambient: Ambient,
    pub(crate) bells: Bells,
    world: Arc<World>,
    listener: Router,
    shutdown: CancellationToken,
}

impl Replica {
    /// Starts the life with this number, with a clock that is wrong by so many milliseconds.
    pub(crate) fn start(world: &Arc<World>, number: u32, wrong_by: i64) -> anyhow::Result<Self> {
        let who = Party::Replica(number);
        let stream = STREAMS + 2 * u64::from(number);
        let entropy = Arc::new(SeededEntropy::new(world.seed, stream));
        let ambient = Ambient::new(Arc::new(world.clock.wrong_by(wrong_by)), entropy);
        let store = |role| {
            let gate = Gate::seam(&world.conductor, who, role, world.clock);
            world.base.behind(&gate, ambient.clone())
        };
        let reconciled = store(Role::Reconciler);
        let machines = Arc::new(Directory {
            world: Arc::clone(world),
            who,
            connections: Connections::new(
                reconciled.clone(),
                Arc::clone(&world.vault),
                Arc::clone(&world.authority),
            ),
        });
        let bells = Bells::default();
        let instances = InstanceReconciler {
            store: reconciled.clone(),
            machines: machines.clone(),
            // Nobody deploys servers that run elsewhere here.
            remotes: Arc::new(RemoteServers::new(
                reconciled.clone(),
                Arc::clone(&world.vault),
                RemoteClient::new(RemotePolicy::default()),
                ambient.clone(),
            )),
            bells: bells.clone(),
            routes: RoutesBell::default(),
            tools: Arc::new(NoTools),
            packages: PackageSettings::read(&Config::default())?,
        };
        let environments = EnvironmentReconciler {
            store: reconciled,
            vault: Arc::clone(&world.vault),
            authority: Arc::clone(&world.authority),
            machines,
            provider: Arc::new(provider(world, who, stream + 1, &ambient)?),
            control_plane_url: Url::parse(URL)?,
            ambient: ambient.clone(),
            lost_machine: LostMachine::Rebuild,
            bells: bells.clone(),
        };
        let search = OrphanSearch {
            store: store(Role::Queue),
            provider: Arc::clone(&environments.provider),
            policy: OrphanPolicy::default(),
            ambient: ambient.clone(),
        };
        let shutdown = CancellationToken::new();
        let name: Arc<str> = Arc::from(format!("replica {number}"));
        let work = |reconciler: Arc<dyn Reconcile>, bell: Bell| {
            let (store, name) = (store(Role::Queue), Arc::clone(&name));
            queue::run(
                store,
                reconciler,
                name,
                bell,
                EventBell::default(),
                shutdown.clone(),
            )
        };
        tokio::spawn(work(Arc::new(environments), bells.environments.clone()));
        tokio::spawn(work(Arc::new(instances), bells.instances.clone()));
        let orphans = work(Arc::new(search), Bell::default());
        let outside = store(Role::Outside);
        tokio::spawn(async move {
            // Where it fails, a replica that is started later does it.
            if outside.orphans().begin_searching().await.is_ok() {
                orphans.await;
            }
        });
        let listener = listener::router(ListenerState {
            store: store(Role::Listener),
            vault: Arc::clone(&world.vault),
            authority: Arc::clone(&world.authority),
            ambient: ambient.clone(),
            bells: bells.clone(),
            downloads: None,
            offer: None,
        });
        world.trace.say(format_args!("{who} starts"));
        Ok(Self {
            who,
            store: store(Role::Outside),
            ambient,
            bells,
            world: Arc::clone(world),
            listener,
            shutdown,
        })
    }

    /// Nothing of it runs any more soon; before that it is cut off.
    pub(crate) fn bury(&self) {
        self.world.conductor.cut(self.who);
        self.shutdown.cancel();
    }

    /// A machine's request; `None` where no answer comes.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Option<(u16, Bytes)> {
        let answer = match self.listener.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        (!self.world.conductor.is_cut(self.who)).then_some((status, body))
    }
}

fn provider(
    world: &Arc<World>,
    who: Party,
    stream: u64,
    ambient: &Ambient,
) -> anyhow::Result<DigitalOceanProvider> {
    let transport = Cloud {
        world: Arc::clone(world),
        who,
        dice: Mutex::new(Dice::new(world.seed, stream)),
    };
    let client = Client::new(
        Arc::new(transport),
        Endpoint::production(),
        SecretString::from(FULL_TOKEN),
        Budget::default(),
        ambient.clone(),
    );
    let settings = ProviderSettings {
        installation: INSTALLATION.to_owned(),
        region: Some("fra1".to_owned()),
        size: Some("s-1vcpu-2gb".to_owned()),
        image: "ubuntu-24-04-x64".to_owned(),
        ssh_keys: Vec::new(),
        control_plane_ranges: vec![ADDRESS.to_owned()],
        admin_ranges: Vec::new(),
        icmp: false,
        project: None,
        monitoring: true,
        dtma_port: 30_000,
        agent: AgentSource::Programs(Programs {
            dtma_sha256: "ab".repeat(32),
            tool_init_sha256: "cd".repeat(32),
        }),
    };
    DigitalOceanProvider::new(client?, settings).context("the provider's settings")
}

/// The simulated machines run servers without tools.
#[derive(Debug)]
struct NoTools;

#[async_trait::async_trait]
impl AskTools for NoTools {
    async fn tools(
        &self,
        _environment: EnvironmentId,
        _on_machine: InstanceId,
    ) -> Result<Vec<serde_json::Value>, String> {
        Ok(Vec::new())
    }
}
