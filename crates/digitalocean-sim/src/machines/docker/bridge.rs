//! The network that machines are in, and the metadata service on it. It is there as long as there are
//! machines.
//!
//! The address of the metadata service is the bridge's, and the service listens on the bridge only, so
//! that simulators with different subnets don't get in each other's way.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use bollard::Docker;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::AbortHandle;

use super::addresses::Addresses;
use super::body::LABEL_SUBNET;
use super::command::run;
use super::error::{HostError, engine};

/// Where DigitalOcean, and others, tell a machine about itself.
const METADATA: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
const BACKLOG: u32 = 64;

/// See the module's header. Its name is [`Addresses::bridge`].
#[derive(Debug)]
pub(super) struct Bridge {
    network: String,
    service: AbortHandle,
}

impl Bridge {
    /// Makes it and starts the service.
    ///
    /// # Errors
    /// When the host can't. Nothing is left then.
    pub(super) async fn up(
        docker: &Docker,
        addresses: Addresses,
        metadata: Router,
    ) -> Result<Self, HostError> {
        let created = docker.create_network(request(addresses)).await;
        let network = created.map_err(engine("make a network"))?.id;
        match listen(&addresses.bridge()).await {
            Ok(listener) => {
                let service = metadata.into_make_service_with_connect_info::<SocketAddr>();
                let task = tokio::spawn(async move {
                    if let Err(error) = axum::serve(listener, service).await {
                        tracing::error!(%error, "the metadata service ended");
                    }
                });
                let service = task.abort_handle();
                Ok(Self { network, service })
            }
            Err(error) => {
                remove(docker, &network).await?;
                Err(error)
            }
        }
    }

    /// Takes it away.
    ///
    /// # Errors
    /// When the host can't, for instance because a container is in it.
    pub(super) async fn down(&self, docker: &Docker) -> Result<(), HostError> {
        remove(docker, &self.network).await
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.service.abort();
    }
}

/// Removes a network that may be gone.
///
/// # Errors
/// When the engine can't.
pub(super) async fn remove(docker: &Docker, network: &str) -> Result<(), HostError> {
    match docker.remove_network(network).await {
        Err(error) if !super::error::is_status(&error, &[404]) => {
            Err(engine("remove a network")(error))
        }
        _ => Ok(()),
    }
}

fn request(addresses: Addresses) -> NetworkCreateRequest {
    let subnet = addresses.subnet().to_string();
    NetworkCreateRequest {
        name: addresses.bridge(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(subnet.clone()),
                gateway: Some(addresses.gateway().to_string()),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        options: Some(HashMap::from([(
            "com.docker.network.bridge.name".to_owned(),
            addresses.bridge(),
        )])),
        labels: Some(HashMap::from([(LABEL_SUBNET.to_owned(), subnet)])),
        ..NetworkCreateRequest::default()
    }
}

async fn listen(bridge: &str) -> Result<TcpListener, HostError> {
    let address = format!("{}/32", METADATA.ip());
    run("ip", &["address", "add", &address, "dev", bridge]).await?;
    let socket = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind_device(Some(bridge.as_bytes()))?;
        socket.bind(METADATA)?;
        socket.listen(BACKLOG)
    };
    socket().map_err(|source| HostError::Metadata {
        address: METADATA,
        source,
    })
}
