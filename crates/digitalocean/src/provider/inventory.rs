//! Everything in the account that carries this installation's mark (ENV-8), and taking one of it
//! away after it proved once more to be ours.
//!
//! Tags are not among it: an environment keeps its id for good, so there is one tag for each
//! account and no more, and a tag costs nothing.

use agentopia_cloud::{Deletion, Found, Proof, ProviderError, ProviderThing};
use agentopia_domain::EnvironmentId;

use super::DigitalOceanProvider;
use super::naming::environment_of;
use super::sizes::cents;
use super::trouble::trouble;
use crate::droplets::Droplet;
use crate::firewalls::Firewall;
use crate::{DropletId, FirewallId};

impl DigitalOceanProvider {
    pub(super) async fn everything(&self) -> Result<Vec<Found>, ProviderError> {
        let tag = &self.naming.installation_tag;
        let droplets = self
            .api
            .droplets()
            .list_by_tag(tag)
            .await
            .map_err(trouble)?;
        let firewalls = self.api.firewalls().list().all().await.map_err(trouble)?;
        let mut found: Vec<Found> = droplets.iter().map(machine).collect();
        found.extend(firewalls.iter().filter_map(|each| self.firewall(each)));
        Ok(found)
    }

    pub(super) async fn take_away(
        &self,
        found: &Found,
        proof: Proof,
    ) -> Result<Deletion, ProviderError> {
        match found.kind {
            ProviderThing::Machine => self.take_droplet_away(found, proof).await,
            ProviderThing::Firewall => self.take_firewall_away(found).await,
        }
    }

    async fn take_droplet_away(
        &self,
        found: &Found,
        proof: Proof,
    ) -> Result<Deletion, ProviderError> {
        let id = DropletId(found.id.parse().map_err(|_| unproved(found))?);
        let Some(droplet) = self.api.droplets().get(id).await.map_err(trouble)? else {
            return Ok(Deletion::Gone);
        };
        let is_it = match (found.environment, proof) {
            (Some(environment), _) => self.naming.is_ours(&droplet, environment),
            // A tag alone may be anybody's; with its name somebody has looked at it.
            (None, Proof::Named) => {
                self.naming.has_our_tag(&droplet)
                    && droplet.name == found.name
                    && owner(&droplet).is_none()
            }
            (None, Proof::Marks) => false,
        };
        if !is_it {
            return Err(unproved(found));
        }
        if let Some(environment) = found.environment {
            self.memo.forget(environment);
        }
        self.remove_droplet(id).await?;
        // It is gone when no list has it any more.
        Ok(Deletion::InProgress)
    }

    async fn take_firewall_away(&self, found: &Found) -> Result<Deletion, ProviderError> {
        let id = FirewallId(found.id.clone());
        let Some(firewall) = self.api.firewalls().get(&id).await.map_err(trouble)? else {
            return Ok(Deletion::Gone);
        };
        if self.naming.owner_of_firewall(&firewall.name) != found.environment {
            return Err(unproved(found));
        }
        self.api.firewalls().delete(&id).await.map_err(trouble)?;
        // As with droplets, the next look shows whether it is gone.
        Ok(Deletion::InProgress)
    }

    /// The firewall of one machine; not the common one, and none of others.
    fn firewall(&self, firewall: &Firewall) -> Option<Found> {
        let environment: EnvironmentId = self.naming.owner_of_firewall(&firewall.name)?;
        Some(Found {
            kind: ProviderThing::Firewall,
            id: firewall.id.0.clone(),
            name: firewall.name.clone(),
            environment: Some(environment),
            monthly_price_cents: None,
            created_at: firewall.created_at,
        })
    }
}

fn machine(droplet: &Droplet) -> Found {
    let price = droplet.size.as_ref().map(|size| cents(size.price_monthly));
    Found {
        kind: ProviderThing::Machine,
        id: droplet.id.to_string(),
        name: droplet.name.clone(),
        environment: owner(droplet),
        monthly_price_cents: price,
        created_at: Some(droplet.created_at),
    }
}

/// Whose the droplet's tags say that it is.
fn owner(droplet: &Droplet) -> Option<EnvironmentId> {
    droplet.tags.iter().find_map(|tag| environment_of(tag))
}

fn unproved(found: &Found) -> ProviderError {
    ProviderError::Final(format!(
        "{} {} no longer proves to be this installation's; remove it in DigitalOcean's control \
         panel if it is not needed",
        match found.kind {
            ProviderThing::Machine => "droplet",
            ProviderThing::Firewall => "firewall",
        },
        found.id
    ))
}
