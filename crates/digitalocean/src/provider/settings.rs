//! What an operator says of the provider, checked once at the start.

use std::net::IpAddr;

use agentopia_cloud::bootstrap::AgentSource;

use super::naming::Naming;
use crate::ProjectId;

/// How machines are made.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Tells this installation's droplets from those of others on the same account: 1 to 32
    /// lower-case letters, digits and dashes. Must never change while there are droplets.
    pub installation: String,
    /// Where droplets are made unless the environment says.
    pub region: Option<String>,
    /// Their size unless the environment says.
    pub size: Option<String>,
    /// Their image unless the environment says: a slug, or the number of an own image.
    pub image: String,
    /// Fingerprints or numbers of the SSH keys that may log in as root.
    pub ssh_keys: Vec<String>,
    /// From which addresses and networks the control plane reaches the DTMA.
    pub control_plane_ranges: Vec<String>,
    /// From which SSH is let in; from nowhere while it is empty.
    pub admin_ranges: Vec<String>,
    /// Whether droplets answer pings.
    pub icmp: bool,
    /// The project that droplets are put in, by its UUID.
    pub project: Option<ProjectId>,
    /// Whether DigitalOcean's agent for metrics is installed.
    pub monitoring: bool,
    /// The port of the DTMA.
    pub dtma_port: u16,
    /// How machines get their management agent.
    pub agent: AgentSource,
}

/// Why the provider can't be set up. Each sentence says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The installation's name.
    #[error(
        "the installation name {0:?} can't be used: 1 to 32 lower-case letters, digits and dashes"
    )]
    Installation(String),
    /// Nobody could reach the machines.
    #[error(
        "no address is named from which the control plane reaches its machines: set \
         `digitalocean.control_plane_ranges` (DO_CONTROL_PLANE_RANGES) to the public address or \
         network of the control plane, such as 203.0.113.7 or 203.0.113.0/24"
    )]
    NoControlPlane,
    /// A text that is no network.
    #[error("{0:?} is neither an address nor a network such as 203.0.113.0/24 or 2001:db8::/32")]
    Range(String),
}

impl ProviderSettings {
    pub(super) fn check(&self) -> Result<Naming, SettingsError> {
        let naming = Naming::new(&self.installation)
            .ok_or_else(|| SettingsError::Installation(self.installation.clone()))?;
        if self.control_plane_ranges.is_empty() {
            return Err(SettingsError::NoControlPlane);
        }
        let ranges = self.control_plane_ranges.iter().chain(&self.admin_ranges);
        match ranges.into_iter().find(|range| !is_range(range)) {
            Some(range) => Err(SettingsError::Range(range.clone())),
            None => Ok(naming),
        }
    }
}

fn is_range(text: &str) -> bool {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_addresses_and_networks() {
        for good in [
            "203.0.113.7",
            "10.0.0.0/8",
            "::/0",
            "2001:db8::1",
            "0.0.0.0/0",
        ] {
            assert!(is_range(good), "{good}");
        }
        for bad in [
            "",
            "here",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "1.2.3.4/",
            "1.2.3.4/-1",
        ] {
            assert!(!is_range(bad), "{bad}");
        }
    }
}
