//! The network of one build: nothing else is on it, and the engine keeps it apart from the tools' networks. It leads
//! outside as any other, for the package registry; the machine's metadata service is closed to it as to all.

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use sha2::{Digest as _, Sha256};

use super::super::network::used_subnets;
use super::super::{engine, subnet};
use super::body;
use super::build::Builder;
use crate::runtime::{ErrorCode, RuntimeError};

/// How many subnets are tried when the engine says that one overlaps.
const TRIES: usize = 16;

impl Builder {
    pub(super) async fn make_network(&self) -> Result<(), RuntimeError> {
        let (doing, name) = ("making the network of a build", self.name.as_str());
        let listed = self.docker.list_networks(None).await;
        let mut used = used_subnets(listed.map_err(|error| engine::failed(doing, &error))?);
        let hash = Sha256::digest(name.as_bytes());
        let seed = hash
            .iter()
            .take(8)
            .fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        for _ in 0..TRIES {
            let Some(subnet) = subnet::choose(seed, &used) else {
                break;
            };
            let request = NetworkCreateRequest {
                name: name.to_owned(),
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
                labels: Some(body::labels(self.environment)),
                ..NetworkCreateRequest::default()
            };
            match self.docker.create_network(request).await {
                Ok(_) => return Ok(()),
                Err(error) if is_overlap(&engine::words(&error)) => used.push(subnet),
                Err(error) => return Err(engine::failed(doing, &error)),
            }
        }
        Err(RuntimeError::new(
            ErrorCode::EngineFailed,
            format!("{doing}: no addresses are left in {}", subnet::POOL),
        ))
    }
}

fn is_overlap(words: &str) -> bool {
    words.to_ascii_lowercase().contains("overlap")
}
