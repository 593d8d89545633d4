//! What has to hold: at every moment, and when the faults are over. What protects droplets is looked
//! at in [`firewalls`].

use std::collections::BTreeSet;

use agentopia_domain::environment::{DesiredEnvironment, Environment, EnvironmentStatus};
use agentopia_domain::instance::{DesiredInstance, Instance, InstanceStatus};
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::{AccountId, EnvironmentId};
use agentopia_store::{CredentialState, Store, StoreError};
use digitalocean_sim::DropletView;

use crate::firewalls::{self, MachineFirewall};
use crate::ledger;
use crate::world::World;

/// Everything about one account at one moment.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) environment: Environment,
    credential: Option<CredentialState>,
    /// Its droplets that were not deleted.
    droplets: Vec<DropletView>,
    /// Its tools that are not gone for good.
    tools: Vec<Instance>,
    /// What its machine says of them, if it has just one.
    observed: Vec<ObservedInstance>,
    /// The firewall that its machine has of its own.
    firewall: Option<MachineFirewall>,
}

/// Looks at an account; `None` while it never had an environment.
pub(crate) async fn look(
    world: &World,
    store: &Store,
    account: AccountId,
) -> Result<Option<Picture>, StoreError> {
    let Some(environment) = store.environments().find(account).await? else {
        return Ok(None);
    };
    let credentials = store.dtma_credentials();
    let credential = credentials.by_environment_unscoped(environment.id).await?;
    let droplets = world.simulator.droplets().await;
    let mut droplets: Vec<_> = droplets
        .into_iter()
        .filter(|droplet| is_of(droplet, environment.id))
        .collect();
    droplets.sort_by_key(|droplet| droplet.id.0);
    let instances = store.instances();
    let tools = instances.on_environment_unscoped(environment.id).await?;
    let observed = match &droplets[..] {
        [only] => world.guests.tools(only.id),
        _ => Vec::new(),
    };
    let firewall = MachineFirewall::of(environment.id, &firewalls::all(world).await);
    Ok(Some(Picture {
        environment,
        tools: tools.into_iter().map(|report| report.instance).collect(),
        observed,
        firewall,
        credential: credential.map(|credential| credential.state),
        droplets,
    }))
}

impl Picture {
    /// What keeps the account from having what it wants, and nothing else. `None` if it has.
    pub(crate) fn lacks(&self) -> Option<String> {
        match self.environment.desired {
            DesiredEnvironment::Enabled => self.lacks_a_machine(),
            DesiredEnvironment::Disabled => self.has_too_much(),
        }
    }

    /// Whether only the account itself can go on.
    pub(crate) fn waits_for_its_owner(&self) -> bool {
        self.environment.status == EnvironmentStatus::ErrorCreation
            && self.environment.desired == DesiredEnvironment::Enabled
    }

    /// Whether money is spent on a machine that nobody has any use for.
    pub(crate) fn wastes(&self) -> bool {
        let nothing = matches!(
            self.environment.status,
            EnvironmentStatus::Deleted | EnvironmentStatus::ErrorCreation
        );
        nothing && self.droplets.iter().any(|droplet| !droplet.leaving)
    }

    fn lacks_a_machine(&self) -> Option<String> {
        let environment = &self.environment;
        if environment.status != EnvironmentStatus::Active {
            return Some(format!("it is wanted and {:?}", environment.status));
        }
        let [droplet] = &self.droplets[..] else {
            let ids: Vec<_> = self.droplets.iter().map(|droplet| droplet.id.0).collect();
            return Some(format!("it should have one droplet and has {ids:?}"));
        };
        if droplet.leaving || droplet.status != "active" {
            return Some(format!("its droplet is no good: {droplet:?}"));
        }
        if environment.size.as_ref() != Some(&droplet.size) {
            let known = &environment.size;
            return Some(format!(
                "its droplet is a {}, known is {known:?}",
                droplet.size
            ));
        }
        if environment.machine_id != Some(droplet.id.to_string()) {
            let known = &environment.machine_id;
            return Some(format!("its droplet is {}, known is {known:?}", droplet.id));
        }
        if environment.ip_address != droplet.address.map(Into::into) {
            return Some("the address that is written down is not its droplet's".to_owned());
        }
        if !matches!(self.credential, Some(CredentialState::Active)) {
            return Some(format!("its credentials are {:?}", self.credential));
        }
        (self.tools.iter().find_map(|tool| self.lacks_of(tool)))
            .or_else(|| self.has_unknown_tools())
            .or_else(|| self.has_wrong_ports())
    }

    /// Whether what is let in to its machine is what its tools need, on a machine that serves.
    fn has_wrong_ports(&self) -> Option<String> {
        let open = self.tools.iter().filter(|tool| {
            tool.direct_access.is_some() && tool.desired == DesiredInstance::Running
        });
        let mut ports = BTreeSet::new();
        for tool in open {
            let observed = self
                .observed
                .iter()
                .find(|seen| seen.instance_id == tool.id);
            match observed.and_then(|seen| seen.runtime.port) {
                Some(port) => _ = ports.insert(port),
                None => return Some(format!("tool {} has no port: {observed:?}", tool.id)),
            }
        }
        let wanted = match ports.is_empty() {
            true => None,
            false => Some(MachineFirewall::open(self.droplets[0].id.0, &ports)),
        };
        (self.firewall != wanted)
            .then(|| format!("its firewall is {:?}, not {wanted:?}", self.firewall))
    }

    /// What keeps a tool from being as it is wanted, on a machine that serves.
    fn lacks_of(&self, tool: &Instance) -> Option<String> {
        let (status, phase) = match tool.desired {
            DesiredInstance::Running => (InstanceStatus::Running, Phase::Running),
            DesiredInstance::Stopped => (InstanceStatus::Stopped, Phase::Stopped),
            // Those that are removed are not among them.
            DesiredInstance::Removed { .. } => {
                return Some(format!("a tool should be gone and is {:?}", tool.status));
            }
        };
        let mut observed = self.observed.iter();
        let observed = observed.find(|observed| observed.instance_id == tool.id);
        let seen = observed.map(|observed| (observed.generation, observed.phase));
        let good = tool.status == status && seen == Some((tool.generation, phase));
        (!good).then(|| {
            format!(
                "a tool (generation {}) should be {status:?} and is {:?}; its machine says {seen:?}",
                tool.generation, tool.status
            )
        })
    }

    fn has_unknown_tools(&self) -> Option<String> {
        let is_known = |id| self.tools.iter().any(|tool| tool.id == id);
        let mut there = self
            .observed
            .iter()
            .filter(|tool| tool.phase != Phase::Removed);
        let unknown = there.find(|tool| !is_known(tool.instance_id))?;
        Some(format!("its machine has a tool that is gone: {unknown:?}"))
    }

    fn has_too_much(&self) -> Option<String> {
        let environment = &self.environment;
        if environment.status != EnvironmentStatus::Deleted {
            return Some(format!("it is not wanted and {:?}", environment.status));
        }
        if !self.droplets.is_empty() {
            let ids: Vec<_> = self.droplets.iter().map(|droplet| droplet.id.0).collect();
            return Some(format!("it is deleted and has droplets {ids:?}"));
        }
        match self.credential {
            None | Some(CredentialState::Revoked) => {}
            _ => return Some("it is deleted and has credentials".to_owned()),
        }
        let mut tools = self.tools.iter();
        if let Some(tool) = tools.find(|tool| tool.status != InstanceStatus::Stopped) {
            return Some(format!("it is deleted and a tool is {:?}", tool.status));
        }
        if let Some(firewall) = &self.firewall {
            return Some(format!("it is deleted and has a firewall: {firewall:?}"));
        }
        let left = (environment.machine_id.is_some(), environment.ip_address);
        (left != (false, None)).then(|| format!("it is deleted and knows of a machine: {left:?}"))
    }
}

/// Whether a droplet is this installation's machine of an environment.
fn is_of(droplet: &DropletView, environment: EnvironmentId) -> bool {
    ledger::is_ours(droplet) && ledger::environment(&droplet.tags) == Some(environment)
}
