//! Several control planes with one database and one DigitalOcean account (OPS-4): they share the
//! work, and when one dies in the middle of it the other goes on, with one droplet for each account.

use std::sync::Arc;
use std::time::Duration;

use agentopia_control_plane::http::live::EventBell;
use agentopia_control_plane::reconcilers::{Bell, queue};
use agentopia_domain::environment::{DesiredEnvironment, EnvironmentEvent, EnvironmentStatus};
use agentopia_domain::resources::Capacity;
use agentopia_domain::{AccountId, EnvironmentId, SystemClock};
use agentopia_store::{EnvironmentPatch, MachineHeartbeat};
use digitalocean_sim::journal::JournalFilter;
use digitalocean_sim::settings::{Delay, Delays, Scopes};
use digitalocean_sim::{Options, Simulator, Token};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::droplets::{reconciler, settings};
use crate::installation::Installation;

const ACCOUNTS: usize = 8;
/// How long everything may take: the lease of the dead runs out after eight seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// A control plane that can be killed: it runs on threads of its own.
struct Replica(Runtime);

impl Replica {
    fn start(at: &Installation, simulator: &Simulator, name: &'static str) -> Self {
        let work = Arc::new(reconciler(at, simulator, &settings(), name));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(queue::run(
            at.store.clone(),
            work,
            Arc::from(name),
            Bell::default(),
            EventBell::default(),
            CancellationToken::new(),
        ));
        Self(runtime)
    }

    /// Everything that it does stops where it is; it gives nothing back.
    fn kill(self) {
        self.0.shutdown_background();
    }
}

struct World {
    at: Installation,
    simulator: Simulator,
    owners: Vec<(AccountId, EnvironmentId)>,
}

impl World {
    async fn new() -> Self {
        let at = Installation::start().await;
        let mut options = Options::new(1, Arc::new(SystemClock));
        let delay = |millis| Delay::exactly(Duration::from_millis(millis));
        options.settings.delays = Delays {
            create: delay(500),
            delete: delay(500),
            ..Delays::none()
        };
        options.settings.droplet_limit = 100;
        let simulator = Simulator::new(options);
        simulator.set_tokens(
            ["one", "two"]
                .map(|name| Token {
                    name: name.to_owned(),
                    secret: name.into(),
                    scopes: Scopes::Full,
                })
                .to_vec(),
        );
        let mut owners = Vec::new();
        for n in 0..ACCOUNTS {
            owners.push(at.environment(&format!("user-{n}@example.com")).await);
        }
        Self {
            at,
            simulator,
            owners,
        }
    }

    /// What happens outside of the control planes: droplets come and go, and their agents enrol,
    /// which has tests of its own, and report.
    async fn live(&self) {
        self.simulator.tick().await;
        let droplets = self.simulator.droplets().await;
        let environments = self.at.store.environments();
        for (_, id) in &self.owners {
            let now = environments.get_unscoped(*id).await.unwrap();
            let on = droplets.iter().any(|droplet| {
                droplet.status == "active" && now.machine_id == Some(droplet.id.to_string())
            });
            if !on {
                continue;
            }
            if now.status == EnvironmentStatus::Creating {
                let patch = EnvironmentPatch::default();
                let ready = EnvironmentEvent::Ready;
                let moved = environments
                    .transition_unscoped(*id, None, now.status, ready, patch, &[])
                    .await;
                // Somebody may have moved it on a moment ago.
                drop(moved);
            }
            let heartbeat = MachineHeartbeat {
                dtma_version: "0.0.0".to_owned(),
                capacity: Capacity::default(),
                runtime: "docker".to_owned(),
                ip_address: None,
                dtma_port: None,
            };
            let heard = environments
                .record_heartbeat_unscoped(*id, &heartbeat)
                .await;
            drop(heard);
        }
    }

    async fn count(&self, status: EnvironmentStatus) -> usize {
        let mut count = 0;
        for (_, id) in &self.owners {
            let now = self.at.store.environments().get_unscoped(*id).await;
            count += usize::from(now.unwrap().status == status);
        }
        count
    }

    /// How many environments have a machine that is written down.
    async fn machines(&self) -> usize {
        let mut count = 0;
        for (_, id) in &self.owners {
            let now = self.at.store.environments().get_unscoped(*id).await;
            count += usize::from(now.unwrap().machine_id.is_some());
        }
        count
    }

    /// Until so many environments stand there.
    async fn until(&self, status: EnvironmentStatus, at_least: usize) {
        let all = async {
            while self.count(status).await < at_least {
                self.live().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, all).await;
        assert!(done.is_ok(), "{:?}", self.count(status).await);
    }

    /// How many droplets were made with each token.
    fn creations(&self, token: &str) -> usize {
        let journal = self.simulator.journal(&JournalFilter::default());
        let own = journal
            .iter()
            .filter(|entry| entry.token.as_deref() == Some(token));
        own.map(|entry| entry.created.len()).sum()
    }

    async fn want(&self, desired: DesiredEnvironment) {
        for (account, _) in &self.owners {
            let environments = self.at.store.environments();
            environments
                .set_desired(*account, desired, &[])
                .await
                .unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_control_planes_share_droplets_and_one_goes_on_alone() {
    let world = World::new().await;
    let first = Replica::start(&world.at, &world.simulator, "one");
    let second = Replica::start(&world.at, &world.simulator, "two");
    // Every machine is asked for and none has reported when one of them dies.
    let recorded = async {
        while world.machines().await < ACCOUNTS {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, recorded).await.unwrap();
    first.kill();
    world.until(EnvironmentStatus::Active, ACCOUNTS).await;
    let droplets = world.simulator.droplets().await;
    assert_eq!(droplets.len(), ACCOUNTS, "one for each");
    let all = world.creations("one") + world.creations("two");
    assert_eq!(all, ACCOUNTS, "none was made twice");

    // Two are at work at the same time; one of them dies among deletions.
    let third = Replica::start(&world.at, &world.simulator, "one");
    world.want(DesiredEnvironment::Disabled).await;
    world.until(EnvironmentStatus::Deleted, 1).await;
    second.kill();
    world.until(EnvironmentStatus::Deleted, ACCOUNTS).await;
    assert!(world.simulator.droplets().await.is_empty());
    let all = world.creations("one") + world.creations("two");
    assert_eq!(all, ACCOUNTS, "none was made meanwhile");
    third.kill();
}
