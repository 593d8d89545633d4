//! Firewalls: `/v2/firewalls`.
//!
//! Several firewalls on one droplet add up, and closing a port does not end connections that go
//! through it. A rule on a firewall that holds by tag opens every droplet with that tag: rules for
//! one droplet belong on a firewall of that droplet.

mod model;
mod ports;
mod rule;

use serde::Serialize;

use crate::client::{Call, Client, Removal};
use crate::error::Error;
use crate::ids::{DropletId, FirewallId};
use crate::input::TagName;
use crate::page::Pages;

pub use model::{Firewall, FirewallSpec, FirewallStatus, PendingChange};
pub use ports::Ports;
pub use rule::{InboundRule, OutboundRule, Protocol, Rules, Targets};

/// See [`Client::firewalls`].
#[derive(Debug, Clone, Copy)]
pub struct FirewallsApi<'c>(pub(crate) &'c Client);

impl<'c> FirewallsApi<'c> {
    /// All firewalls of the account.
    pub fn list(self) -> Pages<'c, Firewall> {
        Pages::new(self.0, Call::get("list firewalls", ["firewalls"]))
    }

    /// One firewall.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(self, id: &FirewallId) -> Result<Option<Firewall>, Error> {
        self.0.find(&Call::get("read a firewall", one(id))).await
    }

    /// Makes a firewall. Tags that it names have to exist.
    ///
    /// # Errors
    /// [`crate::Reason::NameInUse`] when there is one of that name, which may be ours after an
    /// [`Error::Ambiguous`]; see [`FirewallSpec::check`] for what is refused unsent.
    pub async fn create(self, spec: &FirewallSpec) -> Result<Firewall, Error> {
        let call = Call::post("create a firewall", ["firewalls"]);
        check(&call, spec)?;
        self.0.one(&call.json(spec)?).await
    }

    /// Says everything about a firewall anew: what is not in `spec` is taken out.
    ///
    /// # Errors
    /// Those of [`Self::create`].
    pub async fn replace(self, id: &FirewallId, spec: &FirewallSpec) -> Result<Firewall, Error> {
        let call = Call::put("replace a firewall", one(id));
        check(&call, spec)?;
        self.0.one(&call.json(spec)?).await
    }

    /// Deletes a firewall. Droplets that have no other are then open.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(self, id: &FirewallId) -> Result<Removal, Error> {
        self.0
            .remove(&Call::delete("delete a firewall", one(id)))
            .await
    }

    /// Makes it hold for droplets.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add_droplets(self, id: &FirewallId, droplets: &[DropletId]) -> Result<(), Error> {
        let call = Call::post("put droplets behind a firewall", part(id, "droplets")).repeatable();
        self.0.done(&call.json(&Droplets::of(droplets))?).await
    }

    /// Makes it no longer hold for droplets, unless it does by their tags.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_droplets(
        self,
        id: &FirewallId,
        droplets: &[DropletId],
    ) -> Result<(), Error> {
        let call = Call::delete("take droplets out of a firewall", part(id, "droplets"));
        self.0.done(&call.json(&Droplets::of(droplets))?).await
    }

    /// Makes it hold for all droplets with these tags, which have to exist.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add_tags(self, id: &FirewallId, tags: &[TagName]) -> Result<(), Error> {
        let call = Call::post("put tags behind a firewall", part(id, "tags")).repeatable();
        self.0.done(&call.json(&Tags { tags })?).await
    }

    /// Makes it no longer hold for droplets with these tags.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_tags(self, id: &FirewallId, tags: &[TagName]) -> Result<(), Error> {
        let call = Call::delete("take tags out of a firewall", part(id, "tags"));
        self.0.done(&call.json(&Tags { tags })?).await
    }

    /// Adds rules. Sent once: what DigitalOcean makes of a rule that is there already is not known,
    /// so after [`Error::Ambiguous`] read the firewall.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add_rules(self, id: &FirewallId, rules: &Rules) -> Result<(), Error> {
        let call = Call::post("add rules to a firewall", part(id, "rules"));
        self.0.done(&call.json(rules)?).await
    }

    /// Removes rules. They have no ids: each is sent as it was read, and the same one goes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_rules(self, id: &FirewallId, rules: &Rules) -> Result<(), Error> {
        let call = Call::delete("remove rules from a firewall", part(id, "rules"));
        self.0.done(&call.json(rules)?).await
    }
}

#[derive(Serialize)]
struct Droplets<'a> {
    droplet_ids: &'a [DropletId],
}

impl<'a> Droplets<'a> {
    fn of(droplet_ids: &'a [DropletId]) -> Self {
        Self { droplet_ids }
    }
}

#[derive(Serialize)]
struct Tags<'a> {
    tags: &'a [TagName],
}

fn check(call: &Call, spec: &FirewallSpec) -> Result<(), Error> {
    spec.check().map_err(|error| call.asked().invalid(error))
}

fn one(id: &FirewallId) -> [&str; 2] {
    ["firewalls", &id.0]
}

fn part<'a>(id: &'a FirewallId, part: &'a str) -> [&'a str; 3] {
    ["firewalls", &id.0, part]
}
