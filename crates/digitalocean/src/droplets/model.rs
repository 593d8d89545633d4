//! A droplet as DigitalOcean tells of it. Only what is used; the rest of an answer is passed over.

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::envelope::{Resource, nullable};
use crate::ids::{DropletId, ImageId};
use crate::open_enum::open_enum;

/// A droplet.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Droplet {
    /// Its id.
    pub id: DropletId,
    /// Its name; need not be unique.
    pub name: String,
    /// What it is doing.
    pub status: DropletStatus,
    /// Whether an action is under way, so that no other can begin.
    #[serde(default)]
    pub locked: bool,
    /// When it was asked for, by DigitalOcean's clock.
    pub created_at: DateTime<Utc>,
    /// Its size, such as `s-1vcpu-2gb`. Changes when a resize is completed.
    pub size_slug: String,
    /// What that size costs.
    #[serde(default)]
    pub size: Option<DropletSize>,
    /// RAM, MiB.
    pub memory: u64,
    /// Processors.
    pub vcpus: u32,
    /// Disk, GB.
    pub disk: u64,
    /// Where it is.
    #[serde(default)]
    pub region: Option<DropletRegion>,
    /// What it was made from, unless that is gone.
    #[serde(default)]
    pub image: Option<DropletImage>,
    /// Its addresses; none at first, and the public one can come after `active`.
    #[serde(default)]
    pub networks: Networks,
    /// Its tags.
    #[serde(default, deserialize_with = "nullable")]
    pub tags: Vec<String>,
    /// The private network that it is in.
    #[serde(default)]
    pub vpc_uuid: Option<String>,
}

impl Droplet {
    /// The address under which the world finds it, once there is one.
    #[must_use]
    pub fn public_ipv4(&self) -> Option<Ipv4Addr> {
        self.networks.v4.iter().find_map(NetworkV4::public)
    }

    /// The address in its private network, once there is one.
    #[must_use]
    pub fn private_ipv4(&self) -> Option<Ipv4Addr> {
        let private = |network: &&NetworkV4| network.kind == NetworkKind::Private;
        self.networks
            .v4
            .iter()
            .find(private)
            .map(|network| network.ip_address)
    }
}

open_enum! {
    /// What a droplet is doing.
    pub enum DropletStatus {
        /// Being made.
        New = "new",
        /// On.
        Active = "active",
        /// Off, and still billed.
        Off = "off",
        /// Put away.
        Archive = "archive",
    }
}

/// What the size of a droplet costs. All else of it stands in the droplet itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DropletSize {
    /// A whole month, US dollars.
    pub price_monthly: f64,
}

/// Where a droplet is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DropletRegion {
    /// Such as `fra1`.
    pub slug: String,
}

/// What a droplet was made from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DropletImage {
    /// Its id.
    #[serde(default)]
    pub id: Option<ImageId>,
    /// Such as `ubuntu-24-04-x64`; none for snapshots, and for images that were withdrawn.
    #[serde(default)]
    pub slug: Option<String>,
}

/// The addresses of a droplet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Networks {
    /// IPv4.
    #[serde(default, deserialize_with = "nullable")]
    pub v4: Vec<NetworkV4>,
    /// IPv6.
    #[serde(default, deserialize_with = "nullable")]
    pub v6: Vec<NetworkV6>,
}

/// An IPv4 address of a droplet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NetworkV4 {
    /// The address.
    pub ip_address: Ipv4Addr,
    /// Who can reach it.
    #[serde(rename = "type")]
    pub kind: NetworkKind,
}

impl NetworkV4 {
    fn public(&self) -> Option<Ipv4Addr> {
        (self.kind == NetworkKind::Public).then_some(self.ip_address)
    }
}

/// An IPv6 address of a droplet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct NetworkV6 {
    /// The address.
    pub ip_address: Ipv6Addr,
    /// Who can reach it.
    #[serde(rename = "type")]
    pub kind: NetworkKind,
}

open_enum! {
    /// Who can reach an address.
    pub enum NetworkKind {
        /// Everybody.
        Public = "public",
        /// The private network.
        Private = "private",
    }
}

impl Resource for Droplet {
    const ONE: &'static str = "droplet";
    const MANY: &'static str = "droplets";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_droplet_without_addresses_yet_has_none() {
        let new: Droplet = serde_json::from_str(
            r#"{"id":1,"name":"a","status":"new","locked":true,"created_at":"2026-01-02T03:04:05Z",
                "size_slug":"s-1vcpu-1gb","memory":1024,"vcpus":1,"disk":25,"networks":{},
                "tags":null,"region":{"slug":"fra1","features":[]},"image":{"id":5,"slug":null}}"#,
        )
        .unwrap();
        assert_eq!((new.public_ipv4(), new.private_ipv4()), (None, None));
        assert_eq!(new.status, DropletStatus::New);
        assert!(new.tags.is_empty());
    }

    #[test]
    fn the_public_address_is_told_from_the_private_one() {
        let networks: Networks = serde_json::from_str(
            r#"{"v4":[{"ip_address":"10.1.2.3","type":"private","gateway":"<nil>"},
                      {"ip_address":"203.0.113.9","netmask":"255.255.240.0","type":"public"}],
                "v6":[{"ip_address":"2604:a880::1","netmask":64,"type":"public"}]}"#,
        )
        .unwrap();
        let droplet = Droplet {
            networks,
            ..crate::testing::droplet(1, "a", &[])
        };
        assert_eq!(droplet.public_ipv4(), Some(Ipv4Addr::new(203, 0, 113, 9)));
        assert_eq!(droplet.private_ipv4(), Some(Ipv4Addr::new(10, 1, 2, 3)));
    }
}
