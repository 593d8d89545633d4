//! What sizes an account can choose from, and what is in the way of each (ENV-10).

use agentopia_cloud::{MachineSize, ProviderError, Resizable, SizeObstacle};
use agentopia_domain::admission::{DoesNotFit, admit};
use agentopia_domain::environment::{Environment, EnvironmentEvent, EnvironmentStatus};
use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::resources::{Capacity, Resources};

use crate::http::extract::Call;
use crate::problem::{Answer, Refusal, kind};

/// How many sizes an error names.
const NAMED: usize = 8;

/// Everything that counts when a size is chosen.
pub(super) struct Wish {
    environment: Option<Environment>,
    /// Where the machine is, or would be made.
    region: Option<String>,
    /// What its tools ask for.
    tools: Vec<Resources>,
}

/// Why a size can't be chosen now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Obstacle {
    /// Something else goes on.
    #[error("the environment is not active; try again when it is")]
    NotNow,
    /// The provider can't.
    #[error(transparent)]
    Size(#[from] SizeObstacle),
    /// The tools would not fit.
    #[error("{0}")]
    Tools(#[from] DoesNotFit),
}

impl Wish {
    pub(super) async fn of(call: &Call) -> Answer<Self> {
        let environment = call.store().environments().find(call.account()).await?;
        let mut tools = Vec::new();
        if let Some(environment) = &environment {
            // The account's own: its environment was found by the account.
            let instances = call.store().instances();
            for report in instances.on_environment_unscoped(environment.id).await? {
                if report.instance.desired == DesiredInstance::Running {
                    tools.push(report.instance.resources);
                }
            }
        }
        let region = environment.as_ref().and_then(|there| there.region.clone());
        let config = &call.state.config;
        Ok(Self {
            region: region.or_else(|| config.digitalocean.default_region.clone()),
            environment,
            tools,
        })
    }

    pub(super) fn environment(&self) -> Option<&Environment> {
        self.environment.as_ref()
    }

    /// The sizes that the operator offers and that can be had somewhere, and the one that the
    /// machine has.
    pub(super) async fn offered(&self, call: &Call) -> Answer<Vec<MachineSize>> {
        let mut sizes = call.state.offers.sizes().await.map_err(no_answer)?;
        let allowed = call.state.config.digitalocean.sizes();
        sizes.retain(|size| {
            self.is_current(size) || (!size.regions.is_empty() && allowed.holds(&size.name))
        });
        Ok(sizes)
    }

    pub(super) fn is_current(&self, size: &MachineSize) -> bool {
        let machine = self.environment.as_ref().filter(|there| has_machine(there));
        machine.is_some_and(|there| there.size.as_ref() == Some(&size.name))
    }

    /// What is in the way of choosing a size now.
    pub(super) fn obstacle(&self, size: &MachineSize) -> Option<Obstacle> {
        let machine = self.environment.as_ref().filter(|there| has_machine(there));
        let resizable = Resizable {
            size: machine.and_then(|there| there.size.as_deref()),
            disk_bytes: machine.and_then(|there| there.machine_disk_bytes),
            region: self.region.as_deref(),
        };
        if let Err(obstacle) = size.fits(&resizable) {
            return Some(obstacle.into());
        }
        let environment = machine?;
        if environment
            .status
            .on(EnvironmentEvent::ScaleStarted)
            .is_err()
        {
            return Some(Obstacle::NotNow);
        }
        self.tools_fit(environment, size).err().map(Into::into)
    }

    fn tools_fit(&self, environment: &Environment, size: &MachineSize) -> Result<(), DoesNotFit> {
        let capacity = capacity_with(environment, size);
        match self.tools.split_last() {
            Some((last, others)) => admit(capacity, others.iter().copied(), *last),
            None => Ok(()),
        }
    }

    /// The refusal of a size that is not among those that are offered.
    pub(super) fn unknown(&self, name: &str, offered: &[MachineSize]) -> Refusal {
        if offered.is_empty() {
            return Refusal::new(
                kind::NOT_OFFERED,
                "this machine has no sizes to choose from: it is the one that the control plane \
                 runs on",
            );
        }
        let possible = offered.iter().filter(|size| self.obstacle(size).is_none());
        let names: Vec<&str> = possible
            .map(|size| size.name.as_str())
            .take(NAMED)
            .collect();
        Refusal::new(
            kind::NOT_OFFERED,
            format!(
                "there is no size {name:?}; possible from here are {} (GET \
                 /api/v1/environment/sizes has all)",
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            ),
        )
    }
}

impl Obstacle {
    /// The refusal of a size that this is in the way of.
    pub(super) fn refusal(&self, size: &str) -> Refusal {
        match self {
            Self::NotNow => Refusal::new(kind::WRONG_STATE, self.to_string()),
            Self::Size(obstacle) => {
                Refusal::new(kind::NOT_OFFERED, format!("the size {size}: {obstacle}"))
            }
            Self::Tools(obstacle) => Refusal::new(
                kind::DOES_NOT_FIT,
                format!("with the size {size} {obstacle}"),
            ),
        }
    }
}

/// What the machine will have with another size.
pub(super) fn capacity_with(environment: &Environment, size: &MachineSize) -> Capacity {
    Capacity {
        cpu_millis: size.vcpus.saturating_mul(1000),
        memory_bytes: size.usable_memory_bytes(),
        // The disk stays.
        disk_bytes: environment
            .capacity
            .map_or(size.disk_bytes, |capacity| capacity.disk_bytes),
    }
}

/// Whether it has, or will have, the machine that its record tells of.
fn has_machine(environment: &Environment) -> bool {
    !matches!(
        environment.status,
        EnvironmentStatus::Deleted | EnvironmentStatus::ErrorCreation
    )
}

/// The provider's own sentence says what to do.
fn no_answer(error: ProviderError) -> Refusal {
    let refusal = Refusal::new(kind::PROVIDER, error.to_string());
    match error {
        ProviderError::Retryable(_) => refusal.retry_after(10),
        ProviderError::Final(_) => refusal,
    }
}
