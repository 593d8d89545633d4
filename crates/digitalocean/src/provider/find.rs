//! Which droplet is the machine of an environment, and which are too many.
//!
//! Lists lag behind, so a droplet that is written down is read by its id, and the list is only
//! asked for what nobody wrote down: after a crash, and for doubles.

use std::cmp::Reverse;

use agentopia_cloud::{Machine, ProviderError, Sought};
use agentopia_domain::EnvironmentId;

use super::DigitalOceanProvider;
use super::machine::{is_usable, machine};
use super::naming::environment_tag;
use super::trouble::{trouble, unfit};
use crate::DropletId;
use crate::droplets::Droplet;

impl DigitalOceanProvider {
    pub(super) async fn look(&self, sought: Sought<'_>) -> Result<Option<Machine>, ProviderError> {
        if let Some(machine) = self.memo.fresh(sought) {
            return Ok(Some(machine));
        }
        let environment = sought.environment;
        let known = self.known(sought).await?;
        let extras = known.is_none() || self.memo.extras_due(environment);
        let mut all: Vec<Droplet> = known.iter().cloned().collect();
        if extras {
            let tagged = self.tagged(environment).await?;
            let others = tagged
                .into_iter()
                .filter(|droplet| known.as_ref().is_none_or(|known| known.id != droplet.id));
            all.extend(others);
        }
        let Some(chosen) = choose(&all, known.as_ref().map(|known| known.id)) else {
            self.memo.forget(environment);
            return Ok(None);
        };
        for extra in all.iter().filter(|droplet| droplet.id != chosen.id) {
            self.remove_extra(extra, environment).await;
        }
        let machine = machine(chosen);
        self.memo.saw(environment, &machine, extras);
        Ok(Some(machine))
    }

    /// The droplet that is written down, if it is still there.
    pub(super) async fn known(&self, sought: Sought<'_>) -> Result<Option<Droplet>, ProviderError> {
        let Some(id) = sought.known.and_then(|known| known.parse().ok()) else {
            return Ok(None);
        };
        let found = self.api.urgent().droplets().get(DropletId(id)).await;
        match found.map_err(trouble)? {
            Some(droplet) if !self.naming.is_ours(&droplet, sought.environment) => {
                Err(ProviderError::Final(format!(
                    "droplet {id} is this environment's machine, but it has lost its tags; give it \
                     the tags {} and env:{} again, or delete it in DigitalOcean's control panel",
                    self.naming.installation_tag, sought.environment
                )))
            }
            found => Ok(found),
        }
    }

    /// The droplets that prove to be the environment's, each confirmed by its id.
    pub(super) async fn tagged(
        &self,
        environment: EnvironmentId,
    ) -> Result<Vec<Droplet>, ProviderError> {
        let tag = environment_tag(environment).map_err(unfit)?;
        let api = self.api.urgent();
        let listed = api.droplets().list_by_tag(&tag).await.map_err(trouble)?;
        let mut confirmed = Vec::new();
        for droplet in listed {
            if !self.naming.is_ours(&droplet, environment) {
                continue;
            }
            let found = api.droplets().get(droplet.id).await.map_err(trouble)?;
            confirmed.extend(found.filter(|droplet| self.naming.is_ours(droplet, environment)));
        }
        Ok(confirmed)
    }

    /// Deletes a droplet that is one too many. What can't be done now is done with a later look.
    async fn remove_extra(&self, extra: &Droplet, environment: EnvironmentId) {
        tracing::warn!(
            droplet = %extra.id, name = extra.name, %environment,
            "deleting a droplet that is one too many for its environment"
        );
        if let Err(error) = self.api.droplets().delete(extra.id).await {
            tracing::warn!(droplet = %extra.id, %error, "the droplet is still there");
        }
    }
}

/// The droplet to keep: the one that is written down; else one of the latest attempt, because only
/// its token still enrols; of several of one attempt (a request that was doubled on the way) the
/// oldest. One that can't serve is taken only when there is no other.
fn choose(droplets: &[Droplet], known: Option<DropletId>) -> Option<&Droplet> {
    if let Some(written) = droplets.iter().find(|droplet| Some(droplet.id) == known) {
        return Some(written);
    }
    let begun = |name: &str| {
        let same = droplets.iter().filter(|droplet| droplet.name == name);
        same.map(|droplet| (droplet.created_at, droplet.id)).min()
    };
    droplets.iter().max_by_key(|droplet| {
        (
            is_usable(droplet),
            begun(&droplet.name),
            Reverse((droplet.created_at, droplet.id)),
        )
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::droplets::DropletStatus;
    use crate::testing;

    fn droplet(id: u64, name: &str, second: i64) -> Droplet {
        let mut droplet = testing::droplet(id, name, &[]);
        droplet.created_at += TimeDelta::seconds(second);
        droplet
    }

    fn chosen(droplets: &[Droplet], known: Option<u64>) -> Option<u64> {
        choose(droplets, known.map(DropletId)).map(|droplet| droplet.id.0)
    }

    #[test]
    fn what_is_written_down_is_right() {
        let both = [droplet(1, "a", 0), droplet(2, "b", 5)];
        assert_eq!(chosen(&both, Some(1)), Some(1));
        assert_eq!(chosen(&both, Some(2)), Some(2));
        assert_eq!(chosen(&[], Some(2)), None);
    }

    #[test]
    fn without_that_it_is_the_oldest_of_the_latest_attempt() {
        let first = droplet(9, "a", 0);
        let second = droplet(3, "b", 5);
        let double = droplet(4, "b", 5);
        assert_eq!(chosen(&[first, double, second], None), Some(3));
    }

    #[test]
    fn what_can_serve_goes_before_what_cannot() {
        let mut archived = droplet(2, "b", 9);
        archived.status = DropletStatus::Archive;
        assert_eq!(
            chosen(&[droplet(1, "a", 0), archived.clone()], None),
            Some(1)
        );
        assert_eq!(chosen(&[archived], None), Some(2));
    }
}
