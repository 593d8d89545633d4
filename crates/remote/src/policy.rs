//! Where requests may go: everybody's internet by `https`, and what the operator allows besides.
//! Pure; [`crate::RemoteClient`] asks it before each connection.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;

use crate::network::{Network, plain};

/// See the module's header.
#[derive(Debug, Clone, Default)]
pub struct RemotePolicy {
    allowed: Vec<IpNet>,
    own: Vec<IpAddr>,
    pub(crate) roots: Vec<CertificateDer<'static>>,
}

/// Why an address is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is in a network that the operator did not allow.
    Network(Network),
    /// It is the installation's own.
    Own,
    /// By `http`, what is said and every credential would be readable on the way.
    PlainHttp,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(
                f,
                "is at {network} address, which is not called unless the operator allows it \
                 with `remote_allow`"
            ),
            Self::Own => write!(f, "is this installation itself"),
            Self::PlainHttp => write!(
                f,
                "has to be called by https:// (http:// is for networks of `remote_allow` only)"
            ),
        }
    }
}

impl RemotePolicy {
    /// Everybody's internet, and `allowed`.
    #[must_use]
    pub fn allowing(allowed: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            allowed: allowed.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Never the installation's own addresses, unless they are among those allowed.
    #[must_use]
    pub fn but_not(mut self, own: impl IntoIterator<Item = IpAddr>) -> Self {
        self.own.extend(own.into_iter().map(plain));
        self
    }

    /// Trusts servers whose certificates are signed by `roots`, besides those that the system trusts.
    #[must_use]
    pub fn trusting(mut self, roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.roots.extend(roots);
        self
    }

    /// Whether `address` may be called.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, address: IpAddr, is_https: bool) -> Result<(), Why> {
        let address = plain(address);
        if self
            .allowed
            .iter()
            .any(|network| network.contains(&address))
        {
            return Ok(());
        }
        match Network::of(address) {
            Network::Public if self.own.contains(&address) => Err(Why::Own),
            Network::Public if !is_https => Err(Why::PlainHttp),
            Network::Public => Ok(()),
            network => Err(Why::Network(network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(allowed: &[&str]) -> RemotePolicy {
        RemotePolicy::allowing(allowed.iter().map(|text| text.parse().unwrap()))
    }

    fn judge(policy: &RemotePolicy, address: &str, is_https: bool) -> Result<(), Why> {
        policy.judge(address.parse().unwrap(), is_https)
    }

    #[test]
    fn the_internet_is_open_by_https_only() {
        let policy = policy(&[]).but_not(["1.2.3.4".parse().unwrap()]);
        assert_eq!(judge(&policy, "1.1.1.1", true), Ok(()));
        assert_eq!(judge(&policy, "1.1.1.1", false), Err(Why::PlainHttp));
        assert_eq!(judge(&policy, "1.2.3.4", true), Err(Why::Own));
        assert_eq!(judge(&policy, "::ffff:1.2.3.4", true), Err(Why::Own));
        assert_eq!(
            judge(&policy, "169.254.169.254", true),
            Err(Why::Network(Network::LinkLocal))
        );
    }

    #[test]
    fn what_the_operator_allows_is_open_and_nothing_beside_it() {
        let policy = policy(&["127.0.0.1/32", "fd00:1::/32", "10.1.0.0/16"]);
        for good in ["127.0.0.1", "::ffff:127.0.0.1", "fd00:1::5", "10.1.2.3"] {
            assert_eq!(judge(&policy, good, false), Ok(()), "{good}");
        }
        for bad in [
            "127.0.0.2",
            "::1",
            "fd00:2::5",
            "10.2.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(judge(&policy, bad, true).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn without_the_operator_nothing_special_is_ever_called(bits: u128, is_https: bool) {
            let policy = RemotePolicy::default();
            let v4 = std::net::Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap());
            for address in [IpAddr::V4(v4), IpAddr::V6(std::net::Ipv6Addr::from_bits(bits))] {
                let may = policy.judge(address, is_https).is_ok();
                prop_assert_eq!(may, is_https && Network::of(address) == Network::Public);
            }
        }
    }
}
