//! Holds what a tool sends to where its policy lets it go (DTMA-4), whatever the tool does: with addresses
//! in place of names, a resolver of its own, UDP, ICMP or IPv6.
//!
//! The kernel does it, with rules for the bridge of the instance's own network ([`rules`], [`tables`]); so
//! they hold while the DTMA is away. A tool that may not go everywhere is given one resolver: ours, on the
//! gateway's address of its network ([`resolver`]). It answers for the names of the policy only
//! ([`decision`]) and lets their addresses through, for as long as the answer holds ([`learned`]), before
//! the tool gets to know them. That works for every program and every protocol, which a proxy that programs
//! have to be told of does not.
//!
//! Fail closed: rules stand before the container starts, a start fails where they can't be set, what the
//! resolver let through is forgotten when the DTMA starts, and a reboot leaves no tool running.

mod decision;
mod learned;
mod resolver;
mod rules;
mod tables;

use std::net::Ipv4Addr;
use std::sync::Arc;

use agentopia_domain::InstanceId;
use agentopia_domain::egress::Egress;
use agentopia_domain::spec::InstanceSpec;
use bollard::models::Network;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::DockerRuntime;
use super::subnet::Subnet;
use crate::runtime::{ErrorCode, RuntimeError};
use learned::Learned;
pub(super) use resolver::Upstream;
use rules::Place;

/// What one instance is held by in this process of the DTMA. Dropping it ends its resolver; the rules stay.
#[derive(Debug)]
pub(super) struct Guard {
    held: Arc<Held>,
    /// Only for those that may not go everywhere.
    resolver: Option<DropGuard>,
}

/// Shared with the resolver.
#[derive(Debug)]
struct Held {
    id: InstanceId,
    place: Place,
    state: Mutex<State>,
    /// One change of the rules at a time, each with the state of then. False once it is over: a question
    /// that is still being answered must not make rules that nobody takes away.
    writing: tokio::sync::Mutex<bool>,
}

#[derive(Debug)]
struct State {
    policy: Egress,
    learned: Learned,
}

impl Held {
    /// Makes the rules what the state says.
    async fn write(&self) -> Result<(), String> {
        let writing = self.writing.lock().await;
        if !*writing {
            return Err("the instance is gone, or held anew".to_owned());
        }
        let chain = {
            let mut state = self.state.lock();
            state.learned.forget_old(tokio::time::Instant::now());
            rules::chain(self.id, self.place, &state.policy, &state.learned)
        };
        tables::write(self.id, self.place, &chain).await
    }

    /// Writes no rules any more.
    async fn end(&self) {
        *self.writing.lock().await = false;
    }
}

impl DockerRuntime {
    /// Holds the instance to its policy: from now on, or again. Safe to repeat; cheap where nothing is missing.
    ///
    /// # Errors
    /// `Unsupported` where this machine can't hold it and it may not go everywhere.
    pub(super) async fn hold(&self, spec: &InstanceSpec) -> Result<(), RuntimeError> {
        let id = spec.instance_id;
        let network = self.network_of(id).await?;
        let place = network.as_ref().and_then(place);
        let held = match place {
            Some(place) => self.hold_at(id, place, &spec.egress).await,
            None => Err("its network has no IPv4 subnet".to_owned()),
        };
        match held {
            Ok(()) => Ok(()),
            // As before there were policies: a machine without iptables runs such tools.
            Err(error) if spec.egress.is_open() => {
                tracing::warn!(
                    instance = %id, %error,
                    "the tool may reach this machine's own ports: run the DTMA as root and install iptables"
                );
                Ok(())
            }
            Err(error) => Err(RuntimeError::new(
                ErrorCode::Unsupported,
                format!(
                    "this machine can't hold the tool to where it may go ({error}): run the DTMA as root, \
                     and install iptables and ip6tables"
                ),
            )),
        }
    }

    async fn hold_at(&self, id: InstanceId, place: Place, policy: &Egress) -> Result<(), String> {
        let known = self.egress.get(&id).and_then(|guard| {
            let same = guard.held.place == place && guard.resolver.is_none() == policy.is_open();
            same.then(|| Arc::clone(&guard.held))
        });
        if let Some(held) = known {
            {
                let mut state = held.state.lock();
                if state.policy != *policy {
                    state.policy = policy.clone();
                    state.learned = Learned::default();
                }
            }
            return held.write().await;
        }
        // The one before has the address that the next one listens on.
        self.let_go(id).await;
        let held = Arc::new(Held {
            id,
            place,
            state: Mutex::new(State {
                policy: policy.clone(),
                learned: Learned::default(),
            }),
            writing: tokio::sync::Mutex::new(true),
        });
        held.write().await?;
        let resolver = match policy.is_open() {
            true => None,
            false => {
                let stop = CancellationToken::new();
                let upstream = Arc::clone(&self.upstream);
                resolver::serve(Arc::clone(&held), upstream, stop.clone()).await?;
                Some(stop.drop_guard())
            }
        };
        self.egress.insert(id, Guard { held, resolver });
        Ok(())
    }

    /// Where a container of the instance asks for names: the machine's way for those that may go
    /// everywhere, ours for all others.
    pub(super) async fn resolver_of(
        &self,
        spec: &InstanceSpec,
    ) -> Result<Option<Ipv4Addr>, RuntimeError> {
        if spec.egress.is_open() {
            return Ok(None);
        }
        let network = self.network_of(spec.instance_id).await?;
        match network.as_ref().and_then(place) {
            Some(place) => Ok(Some(place.gateway)),
            None => Err(RuntimeError::new(
                ErrorCode::EngineFailed,
                "the instance's network is not there (yet)",
            )),
        }
    }

    /// Takes away what [`Self::hold`] made. Only once the container is gone.
    pub(super) async fn release(&self, id: InstanceId) {
        self.let_go(id).await;
        tables::remove(id).await;
    }

    async fn let_go(&self, id: InstanceId) {
        let guard = self.egress.remove(&id);
        if let Some((_, guard)) = guard {
            guard.held.end().await;
        }
    }
}

/// Where the engine has put the instance: its bridge is named after the network's id, and has the first
/// address of the subnet unless the engine says another.
fn place(network: &Network) -> Option<Place> {
    let bridge = network.id.as_deref()?.get(..12)?;
    let configs = network.ipam.as_ref()?.config.as_ref()?;
    let (subnet, gateway) = configs.iter().find_map(|config| {
        let subnet: Subnet = config.subnet.as_deref()?.parse().ok()?;
        let gateway = config.gateway.as_deref().and_then(|it| it.parse().ok());
        Some((subnet, gateway.unwrap_or(subnet.first())))
    })?;
    Place::new(bridge, subnet, gateway)
}
