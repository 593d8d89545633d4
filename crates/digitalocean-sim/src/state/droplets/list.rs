//! Lists of droplets. They may lag behind: a new droplet is missing for a moment, a deleted one is
//! still there, while reading either by its id tells the truth.

use chrono::{DateTime, Utc};

use super::{Droplet, DropletId, Presence};
use crate::refusal::Refusal;
use crate::state::State;

/// Which droplets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter<'a> {
    All,
    Tag(&'a str),
    /// Exactly, but for case.
    Name(&'a str),
    /// Those with GPUs: there are none.
    Gpus,
}

impl State {
    /// Droplets as the list shows them now, by id.
    pub(crate) fn list_droplets(&self, now: DateTime<Utc>, filter: Filter<'_>) -> Vec<&Droplet> {
        self.droplets
            .by_id
            .values()
            .filter(|droplet| droplet.is_listed(now, filter))
            .collect()
    }

    /// Ids of all that have a tag and exist, without any lag.
    pub(super) fn droplets_with_tag(&self, tag: &str) -> Result<Vec<DropletId>, Refusal> {
        let tag = self.tags.find(tag).ok_or_else(Refusal::not_found)?;
        Ok(self
            .droplets
            .existing()
            .filter(|droplet| droplet.tags.contains(&tag.name))
            .map(|droplet| droplet.id)
            .collect())
    }
}

impl Droplet {
    fn is_listed(&self, now: DateTime<Utc>, filter: Filter<'_>) -> bool {
        let (fits, lag) = match filter {
            Filter::All => (true, self.lag.otherwise),
            Filter::Name(name) => (self.name.eq_ignore_ascii_case(name), self.lag.otherwise),
            Filter::Tag(tag) => (self.tags.iter().any(|own| own == tag), self.lag.by_tag),
            Filter::Gpus => (false, self.lag.otherwise),
        };
        let still_there = match self.presence {
            Presence::Here | Presence::Leaving => true,
            Presence::Gone { since } => now < since + lag,
        };
        fits && still_there && self.created_at + lag <= now
    }
}
