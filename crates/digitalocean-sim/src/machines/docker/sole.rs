//! One simulator for a subnet: what it finds there when it starts, it takes away.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use super::addresses::Addresses;
use super::error::HostError;

/// Holds the subnet as long as it lives. The kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub(super) struct Sole(#[expect(dead_code, reason = "held, never used")] UnixListener);

impl Sole {
    /// # Errors
    /// When another simulator on this host holds it.
    pub(super) fn hold(addresses: Addresses) -> Result<Self, HostError> {
        let name = format!("digitalocean-sim/{}", addresses.subnet());
        // A socket without a file.
        let held = SocketAddr::from_abstract_name(name.as_bytes())
            .and_then(|address| UnixListener::bind_addr(&address));
        held.map(Self)
            .map_err(|_| HostError::Taken(addresses.subnet().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_held_once() {
        let addresses = Addresses::new("10.77.255.0/29".parse().unwrap());
        let first = Sole::hold(addresses).unwrap();
        assert!(matches!(Sole::hold(addresses), Err(HostError::Taken(_))));
        drop(first);
        Sole::hold(addresses).unwrap();
    }
}
