//! Taking a machine away, until DigitalOcean itself says that nothing is left.

use std::time::Duration;

use agentopia_cloud::{Deletion, ProviderError, Sought};
use agentopia_domain::EnvironmentId;

use super::DigitalOceanProvider;
use super::trouble::{trouble, unfit};
use crate::{DropletId, Error};

/// How long nothing must be found of a machine that was never written down: a droplet whose create
/// call was not heard of may not be in the lists yet.
const SETTLE: Duration = Duration::from_secs(75);

impl DigitalOceanProvider {
    pub(super) async fn remove(&self, sought: Sought<'_>) -> Result<Deletion, ProviderError> {
        let environment = sought.environment;
        self.memo.forget(environment);
        let mut droplets = self.tagged(environment).await?;
        if let Some(known) = self.known(sought).await?
            && !droplets.iter().any(|droplet| droplet.id == known.id)
        {
            droplets.push(known);
        }
        if droplets.is_empty() {
            let empty_for = self.memo.empty_for(environment);
            if sought.known.is_none() && empty_for < SETTLE {
                return Ok(Deletion::InProgress);
            }
            self.remove_firewalls(environment).await?;
            self.memo.not_empty(environment);
            return Ok(Deletion::Gone);
        }
        self.memo.not_empty(environment);
        for droplet in droplets {
            self.remove_droplet(droplet.id).await?;
        }
        Ok(Deletion::InProgress)
    }

    /// Asks for a droplet's end. The caller looks whether it is gone, and asks again if it is not.
    pub(super) async fn remove_droplet(&self, id: DropletId) -> Result<(), ProviderError> {
        match self.api.droplets().delete(id).await {
            // Also a 404 is confirmed by the next look.
            Ok(_) => Ok(()),
            // Busy, on its way out, or DigitalOcean has trouble.
            Err(error @ (Error::Retryable(_) | Error::Ambiguous(_) | Error::RateLimited(_))) => {
                tracing::debug!(droplet = %id, %error, "the droplet can't go yet");
                Ok(())
            }
            Err(error) => Err(trouble(error)),
        }
    }

    /// The firewalls of this machine alone. The one that holds by tag stays for the others.
    pub(super) async fn remove_firewalls(
        &self,
        environment: EnvironmentId,
    ) -> Result<(), ProviderError> {
        let name = self.naming.machine_firewall(environment).map_err(unfit)?;
        let all = self.api.firewalls().list().all().await.map_err(trouble)?;
        for firewall in all.iter().filter(|each| each.name == name.as_str()) {
            let removed = self.api.firewalls().delete(&firewall.id).await;
            removed.map_err(trouble)?;
        }
        Ok(())
    }
}
