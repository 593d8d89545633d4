//! What belongs to the machines of a subnet, found by its label or directory and taken away by its id:
//! what a simulator that was killed has left.

use std::collections::HashMap;
use std::path::Path;

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptions, ListNetworksOptions, RemoveContainerOptions,
};

use super::addresses::Addresses;
use super::body::{LABEL_DROPLET, LABEL_SUBNET};
use super::disk::{Disk, file};
use super::error::{HostError, engine, is_status};
use crate::state::DropletId;

fn filter(addresses: Addresses, droplet: Option<DropletId>) -> HashMap<String, Vec<String>> {
    let mut labels = vec![format!("{LABEL_SUBNET}={}", addresses.subnet())];
    labels.extend(droplet.map(|droplet| format!("{LABEL_DROPLET}={droplet}")));
    HashMap::from([("label".to_owned(), labels)])
}

/// Removes the containers of one droplet, or of all, in whatever state they are.
///
/// # Errors
/// When the engine can't.
pub(super) async fn remove_containers(
    docker: &Docker,
    addresses: Addresses,
    droplet: Option<DropletId>,
) -> Result<usize, HostError> {
    let options = ListContainersOptions {
        all: true,
        filters: Some(filter(addresses, droplet)),
        ..ListContainersOptions::default()
    };
    let found = docker.list_containers(Some(options)).await;
    let ids: Vec<_> = found
        .map_err(engine("list machines"))?
        .into_iter()
        .filter_map(|container| container.id)
        .collect();
    for id in &ids {
        let options = RemoveContainerOptions {
            force: true,
            v: true,
            ..RemoveContainerOptions::default()
        };
        match docker.remove_container(id, Some(options)).await {
            Err(error) if !is_status(&error, &[404]) => {
                return Err(engine("remove a machine")(error));
            }
            _ => {}
        }
    }
    Ok(ids.len())
}

/// Takes away everything of the subnet that is on this host.
///
/// # Errors
/// When the host can't.
pub(super) async fn sweep(
    docker: &Docker,
    addresses: Addresses,
    directory: &Path,
) -> Result<(), HostError> {
    let containers = remove_containers(docker, addresses, None).await?;
    let mut disks = 0;
    for entry in std::fs::read_dir(directory).map_err(file("read", directory))? {
        let path = entry.map_err(file("read", directory))?.path();
        if path.is_dir() {
            Disk::found(path).remove().await?;
            disks += 1;
        }
    }
    let options = ListNetworksOptions {
        filters: Some(filter(addresses, None)),
    };
    let networks = docker.list_networks(Some(options)).await;
    let networks: Vec<_> = networks
        .map_err(engine("list networks"))?
        .into_iter()
        .filter_map(|network| network.id)
        .collect();
    for network in &networks {
        super::bridge::remove(docker, network).await?;
    }
    if containers + disks + networks.len() > 0 {
        let networks = networks.len();
        tracing::info!(
            containers,
            disks,
            networks,
            "took away what an earlier simulator left"
        );
    }
    Ok(())
}
