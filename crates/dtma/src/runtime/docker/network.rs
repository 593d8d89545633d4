//! The instance's own bridge network, which is also the record of what was allocated to it: its
//! user id and its port stand in the network's labels from its first start to its removal. They
//! stand in the container's as well, because the engine takes longest to make networks: both are
//! made at the same time.

use std::collections::HashSet;
use std::net::{TcpListener, UdpSocket};

use agentopia_domain::InstanceId;
use agentopia_domain::spec::InstanceSpec;
use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions, ListVolumesOptions};

use super::lifecycle::labels;
use super::names::{self, LABEL_PORT, LABEL_UID, Labels};
use super::subnet::{self, Subnet};
use super::{DockerRuntime, engine};
use crate::runtime::{ErrorCode, RuntimeError};

/// User ids of instances: above what systems and their sub-id ranges for people use.
const UIDS: std::ops::Range<u32> = 200_000..260_000;
/// Ports of instances.
const PORTS: std::ops::Range<u16> = 30_100..31_000;
/// How many subnets are tried when the engine says that one overlaps.
const SUBNET_TRIES: usize = 64;

/// What is allocated to one instance for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allocation {
    /// User and group that it runs as; no two instances of the machine share one.
    pub(super) uid: u32,
    /// Its port on the machine, for direct access.
    pub(super) port: u16,
}

impl Allocation {
    pub(super) fn from_labels(labels: Option<&Labels>) -> Option<Self> {
        Some(Self {
            uid: names::number(labels, LABEL_UID)?,
            port: names::number(labels, LABEL_PORT)?,
        })
    }

    pub(super) fn write(self, labels: &mut Labels) {
        labels.insert(LABEL_UID.to_owned(), self.uid.to_string());
        labels.insert(LABEL_PORT.to_owned(), self.port.to_string());
    }
}

/// Spreads ids over a range: the last bytes of a UUIDv7 are random.
fn seed(id: InstanceId) -> u64 {
    id.as_uuid().as_u64_pair().1
}

/// The first of `range` that is neither in `used` nor refused by `usable`, from a start that the
/// instance's id decides: the same instance asks for the same again, and two DTMAs on one engine
/// seldom ask for the same.
fn pick<N>(
    seed: u64,
    range: std::ops::Range<N>,
    used: &HashSet<N>,
    usable: impl Fn(N) -> bool,
) -> Option<N>
where
    N: Copy + Eq + std::hash::Hash + Into<u64> + TryFrom<u64>,
{
    let (first, end): (u64, u64) = (range.start.into(), range.end.into());
    let count = end - first;
    (0..count)
        .filter_map(|step| N::try_from(first + (seed % count + step) % count).ok())
        .find(|candidate| !used.contains(candidate) && usable(*candidate))
}

/// Whether nobody listens on the port.
fn port_is_free(port: u16) -> bool {
    TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok()
}

impl DockerRuntime {
    /// What is allocated to the instance, if anything is: its network's labels say so, or its
    /// container's, where a start was cut off before the network was made.
    pub(super) async fn allocation(
        &self,
        id: InstanceId,
    ) -> Result<Option<Allocation>, RuntimeError> {
        let networks = self.networks_of(id).await?;
        let found = networks
            .iter()
            .find_map(|network| Allocation::from_labels(network.labels.as_ref()));
        if found.is_some() {
            return Ok(found);
        }
        let container = self.container(id).await?;
        Ok(container
            .as_ref()
            .and_then(|container| Allocation::from_labels(labels(container))))
    }

    /// What is allocated to the instance, from now on if not before. The record of it is written
    /// with the container and the network; until then it is in [`DockerRuntime::reserved`].
    pub(super) async fn allocate(&self, spec: &InstanceSpec) -> Result<Allocation, RuntimeError> {
        let id = spec.instance_id;
        // One at a time: two instances must not be given the same.
        let mut reserved = self.reserved.lock().await;
        if let Some(allocation) = reserved.get(&id) {
            return Ok(*allocation);
        }
        let allocation = match self.allocation(id).await? {
            Some(allocation) => allocation,
            None => {
                let volume = spec.volume_of().unwrap_or(id);
                self.find_free(id, volume, reserved.values()).await?
            }
        };
        reserved.insert(id, allocation);
        Ok(allocation)
    }

    /// Whether a container of the instance can start: it has a network, and no second one of the
    /// same name. See [`Self::ensure_network`].
    pub(super) async fn has_one_network(&self, id: InstanceId) -> Result<bool, RuntimeError> {
        Ok(self.networks_of(id).await?.len() == 1)
    }

    /// Makes the instance's network, if it has none.
    ///
    /// It has two after a start that was cut off while the engine was still making the first: the
    /// next start could not see that one yet, and engines before API 1.44 let names repeat. They
    /// then refuse to start the container because the name is ambiguous.
    pub(super) async fn ensure_network(
        &self,
        id: InstanceId,
        allocation: Allocation,
    ) -> Result<(), RuntimeError> {
        let listed = self.docker.list_networks(None).await;
        let networks = listed.map_err(|error| engine::failed("listing networks", &error))?;
        let ours = networks.iter().filter(|network| {
            let labels = network.labels.as_ref();
            names::is_ours(labels, self.environment) && names::instance(labels) == Some(id)
        });
        match ours.count() {
            0 => {}
            1 => return Ok(()),
            _ => self.remove_network(id).await?,
        }
        self.create_network(id, allocation, used_subnets(networks))
            .await
    }

    async fn find_free(
        &self,
        id: InstanceId,
        volume: InstanceId,
        reserved: impl Iterator<Item = &Allocation> + Clone,
    ) -> Result<Allocation, RuntimeError> {
        let (labels, kept) = tokio::try_join!(self.all_labels(), self.volume_uid(volume))?;
        let uids: HashSet<u32> = labels
            .iter()
            .filter_map(|labels| names::number(Some(labels), LABEL_UID))
            .chain(reserved.clone().map(|allocation| allocation.uid))
            .collect();
        let ports: HashSet<u16> = labels
            .iter()
            .filter_map(|labels| names::number(Some(labels), LABEL_PORT))
            .chain(reserved.map(|allocation| allocation.port))
            .collect();
        // The files on a volume that was kept belong to the user id it had before.
        let uid = match kept {
            Some(uid) => uid,
            None => pick(seed(id), UIDS, &uids, |_| true).ok_or_else(|| {
                RuntimeError::new(
                    ErrorCode::EngineFailed,
                    "every user id for instances is taken: purge volumes of removed instances",
                )
            })?,
        };
        let port = pick(seed(id), PORTS, &ports, port_is_free).ok_or_else(|| {
            RuntimeError::new(
                ErrorCode::PortTaken,
                format!(
                    "every port from {} to {} is taken on this machine: remove instances, or stop what else listens there",
                    PORTS.start,
                    PORTS.end - 1
                ),
            )
        })?;
        Ok(Allocation { uid, port })
    }

    async fn create_network(
        &self,
        id: InstanceId,
        allocation: Allocation,
        mut used: Vec<Subnet>,
    ) -> Result<(), RuntimeError> {
        let mut labels = names::labels(self.environment, id);
        allocation.write(&mut labels);
        for _ in 0..SUBNET_TRIES {
            let subnet = subnet::choose(seed(id), &used).ok_or_else(|| {
                RuntimeError::new(
                    ErrorCode::EngineFailed,
                    format!(
                        "no addresses are left in {} for another network",
                        subnet::POOL
                    ),
                )
            })?;
            let request = NetworkCreateRequest {
                name: names::object(id),
                driver: Some("bridge".to_owned()),
                internal: Some(false),
                enable_ipv6: Some(false),
                ipam: Some(Ipam {
                    config: Some(vec![IpamConfig {
                        subnet: Some(subnet.to_string()),
                        ..IpamConfig::default()
                    }]),
                    ..Ipam::default()
                }),
                labels: Some(labels.clone()),
                ..NetworkCreateRequest::default()
            };
            match self.docker.create_network(request).await {
                Ok(_) => return Ok(()),
                Err(error)
                    if engine::words(&error)
                        .to_ascii_lowercase()
                        .contains("overlap") =>
                {
                    used.push(subnet);
                }
                Err(error) => return Err(engine::failed("making the instance's network", &error)),
            }
        }
        Err(RuntimeError::new(
            ErrorCode::EngineFailed,
            "the engine refuses every subnet as overlapping with another network",
        ))
    }

    /// Takes the instance's network away; whatever is still connected to it is disconnected.
    pub(super) async fn remove_network(&self, id: InstanceId) -> Result<(), RuntimeError> {
        let doing = "removing the instance's network";
        for network in self.networks_of(id).await? {
            let Some(network_id) = network.id else {
                continue;
            };
            let Some(details) =
                engine::found(doing, self.docker.inspect_network(&network_id, None).await)?
            else {
                continue;
            };
            for container in details.containers.unwrap_or_default().into_keys() {
                let request = bollard::models::NetworkDisconnectRequest {
                    container: container.clone(),
                    force: Some(true),
                };
                engine::found(
                    doing,
                    self.docker.disconnect_network(&network_id, request).await,
                )?;
            }
            engine::found(doing, self.docker.remove_network(&network_id).await)?;
        }
        Ok(())
    }

    /// Our networks of one instance: one, unless something odd happened.
    async fn networks_of(&self, id: InstanceId) -> Result<Vec<Network>, RuntimeError> {
        let networks = self.our_networks().await?;
        Ok(networks
            .into_iter()
            .filter(|network| names::instance(network.labels.as_ref()) == Some(id))
            .collect())
    }

    /// Our network of the instance, if it has (at least) one.
    pub(super) async fn network_of(&self, id: InstanceId) -> Result<Option<Network>, RuntimeError> {
        Ok(self.networks_of(id).await?.pop())
    }

    /// Every network of this environment.
    pub(super) async fn our_networks(&self) -> Result<Vec<Network>, RuntimeError> {
        let options = ListNetworksOptions {
            filters: Some(names::filter(self.environment)),
        };
        self.docker
            .list_networks(Some(options))
            .await
            .map_err(|error| engine::failed("listing networks", &error))
    }

    /// Labels of everything in the engine that may hold an allocation, of whatever environment:
    /// user ids are the machine's.
    async fn all_labels(&self) -> Result<Vec<Labels>, RuntimeError> {
        let failed = |error| engine::failed("looking for what is allocated", &error);
        let all = ListContainersOptions {
            all: true,
            ..ListContainersOptions::default()
        };
        let (networks, volumes, containers) = tokio::try_join!(
            self.docker.list_networks(None),
            self.docker.list_volumes(None::<ListVolumesOptions>),
            self.docker.list_containers(Some(all)),
        )
        .map_err(failed)?;
        Ok(networks
            .into_iter()
            .filter_map(|network| network.labels)
            .chain(
                volumes
                    .volumes
                    .unwrap_or_default()
                    .into_iter()
                    .map(|volume| volume.labels),
            )
            .chain(
                containers
                    .into_iter()
                    .filter_map(|container| container.labels),
            )
            .collect())
    }
}

/// Subnets of the engine's networks and of the machine's routes.
pub(super) fn used_subnets(networks: Vec<Network>) -> Vec<Subnet> {
    let engine = networks
        .into_iter()
        .filter_map(|network| network.ipam?.config)
        .flatten()
        .filter_map(|config| config.subnet?.parse().ok());
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    engine.chain(subnet::routes(&routes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_passed_over_and_the_end_wraps_round() {
        let used = HashSet::from([109_u16, 100]);
        assert_eq!(pick(9, 100..110, &used, |_| true), Some(101));
        assert_eq!(pick(9, 100..110, &used, |port| port != 101), Some(102));
        assert_eq!(pick(9, 100..110, &used, |_| false), None);
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_given_out() {
        let taken = TcpListener::bind(("0.0.0.0", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(!port_is_free(port));
        drop(taken);
        assert!(port_is_free(port));
    }

    #[test]
    fn an_allocation_survives_its_labels() {
        let allocation = Allocation {
            uid: 200_007,
            port: 30_100,
        };
        let mut labels = Labels::new();
        allocation.write(&mut labels);
        assert_eq!(Allocation::from_labels(Some(&labels)), Some(allocation));
        assert_eq!(Allocation::from_labels(Some(&Labels::new())), None);
    }
}
