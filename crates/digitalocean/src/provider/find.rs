//! Which droplet is the machine of an environment, and which are too many.
//!
//! Lists lag behind, so a droplet that is written down is read by its id, and the list is only
//! asked for what nobody wrote down: after a crash, and for doubles. A droplet is written down when
//! we hear that it was made and when it enrols, whichever is first; from then on it is the machine,
//! and when it is gone no double takes its place: the token of both is used up.

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
        let looks_around = known.is_none() || self.memo.extras_due(environment);
        let tagged = match looks_around {
            true => self.tagged(environment).await?,
            false => Vec::new(),
        };
        let is_settled = sought.known.is_some();
        let (kept, extras) = divide(is_settled, known.as_ref(), &tagged);
        for extra in extras {
            self.remove_extra(extra, environment).await;
        }
        let Some(kept) = kept else {
            self.memo.forget(environment);
            return Ok(None);
        };
        let machine = machine(kept);
        self.memo
            .saw(environment, &machine, looks_around && is_settled);
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

/// Which droplet is the machine, and which are too many. None is as long as no droplet is written
/// down: until then each of them can enrol and be the one to keep. One that is written down is the
/// machine or, when it is gone, nobody is.
fn divide<'a>(
    is_settled: bool,
    known: Option<&'a Droplet>,
    tagged: &'a [Droplet],
) -> (Option<&'a Droplet>, Vec<&'a Droplet>) {
    if !is_settled {
        return (choose(tagged), Vec::new());
    }
    let kept = known.map(|droplet| droplet.id);
    let extras = tagged.iter().filter(|droplet| Some(droplet.id) != kept);
    (known, extras.collect())
}

/// The droplet to take of those that nobody wrote down: one of the latest attempt, because only its
/// token still enrols; of several of one attempt (a request that was doubled on the way) the oldest.
/// One that can't serve is taken only when there is no other.
fn choose(droplets: &[Droplet]) -> Option<&Droplet> {
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

    fn chosen(droplets: &[Droplet]) -> Option<u64> {
        choose(droplets).map(|droplet| droplet.id.0)
    }

    #[test]
    fn the_oldest_of_the_latest_attempt_is_taken() {
        let first = droplet(9, "a", 0);
        let second = droplet(3, "b", 5);
        let double = droplet(4, "b", 5);
        assert_eq!(chosen(&[first, double, second]), Some(3));
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn the_one_that_is_written_down_is_the_machine_and_no_other_takes_its_place() {
        let known = droplet(3, "b", 5);
        let tagged = [droplet(1, "a", 0), known.clone(), droplet(4, "b", 5)];
        let ids = |(kept, extras): (Option<&Droplet>, Vec<&Droplet>)| {
            let extras: Vec<_> = extras.iter().map(|droplet| droplet.id.0).collect();
            (kept.map(|droplet| droplet.id.0), extras)
        };
        // A list that lags may not have it.
        assert_eq!(
            ids(divide(true, Some(&known), &tagged)),
            (Some(3), vec![1, 4])
        );
        assert_eq!(
            ids(divide(true, Some(&known), &tagged[..1])),
            (Some(3), vec![1])
        );
        assert_eq!(ids(divide(true, None, &tagged[..1])), (None, vec![1]));
    }

    #[test]
    fn none_is_too_many_as_long_as_none_is_written_down() {
        let tagged = [droplet(1, "a", 0), droplet(4, "b", 5), droplet(3, "b", 5)];
        let (kept, extras) = divide(false, None, &tagged);
        assert_eq!(
            (kept.map(|droplet| droplet.id.0), extras.len()),
            (Some(3), 0)
        );
    }

    #[test]
    fn what_can_serve_goes_before_what_cannot() {
        let mut archived = droplet(2, "b", 9);
        archived.status = DropletStatus::Archive;
        assert_eq!(chosen(&[droplet(1, "a", 0), archived.clone()]), Some(1));
        assert_eq!(chosen(&[archived]), Some(2));
    }
}
