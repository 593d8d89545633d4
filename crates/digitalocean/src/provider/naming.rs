//! What our things are called, and how one is known to be ours.
//!
//! Every droplet has three tags: `agentopia`, for people; `agentopia:<installation>`, because
//! several installations can share an account; and `env:<environment>`. A droplet is only ever
//! deleted when it proves by the last two that it is ours. Tags stay when droplets go: an
//! environment keeps its id for good, so there is one for each account and no more.
//!
//! The name holds the attempt besides: a new enrolment token is made for every create call, and
//! the machine of an earlier call can no longer enrol. By its name it is told from the present one.

use agentopia_domain::EnvironmentId;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::droplets::Droplet;
use crate::{DropletName, FirewallName, InputError, TagName};

const PRODUCT: &str = "agentopia";
/// The most characters that an installation's name can have.
const MAX_INSTALLATION: usize = 32;

/// The names of one installation.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    pub(super) product_tag: TagName,
    pub(super) installation_tag: TagName,
    pub(super) base_firewall: FirewallName,
    /// What the name of a machine's own firewall begins with.
    machine_firewall: String,
}

impl Naming {
    /// `installation` are lower-case letters, digits and dashes.
    pub(super) fn new(installation: &str) -> Option<Self> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if installation.is_empty()
            || installation.len() > MAX_INSTALLATION
            || !installation.bytes().all(good)
        {
            return None;
        }
        Some(Self {
            product_tag: TagName::parse(PRODUCT).ok()?,
            installation_tag: TagName::parse(format!("{PRODUCT}:{installation}")).ok()?,
            machine_firewall: format!("{PRODUCT}-{installation}-env-"),
            base_firewall: FirewallName::parse(format!("{PRODUCT}-{installation}")).ok()?,
        })
    }

    /// The name of the firewall that belongs to one environment's droplet alone.
    pub(super) fn machine_firewall(
        &self,
        environment: EnvironmentId,
    ) -> Result<FirewallName, InputError> {
        FirewallName::parse(format!("{}{environment}", self.machine_firewall))
    }

    /// Whose firewall it is, if it is one of ours that belongs to one environment's droplet.
    pub(super) fn owner_of_firewall(&self, name: &str) -> Option<EnvironmentId> {
        name.strip_prefix(&self.machine_firewall)?.parse().ok()
    }

    /// Whether a droplet proves to be this installation's machine of an environment.
    pub(super) fn is_ours(&self, droplet: &Droplet, environment: EnvironmentId) -> bool {
        let has = |tag: &TagName| droplet.tags.iter().any(|each| tag.is(each));
        self.has_our_tag(droplet) && environment_tag(environment).is_ok_and(|tag| has(&tag))
    }

    /// Whether it has this installation's tag. It may have been given to it by anybody.
    pub(super) fn has_our_tag(&self, droplet: &Droplet) -> bool {
        let own = &self.installation_tag;
        droplet.tags.iter().any(|each| own.is(each))
    }
}

/// The tag of an environment's droplets.
pub(super) fn environment_tag(environment: EnvironmentId) -> Result<TagName, InputError> {
    TagName::parse(format!("env:{environment}"))
}

/// Whose droplets have this tag; upper and lower case are the same to DigitalOcean.
pub(super) fn environment_of(tag: &str) -> Option<EnvironmentId> {
    tag.to_ascii_lowercase().strip_prefix("env:")?.parse().ok()
}

/// The name of the droplet that one create call makes. Eight digits of the token's hash tell
/// attempts apart and nothing of the token.
pub(super) fn droplet_name(
    environment: EnvironmentId,
    token: &SecretString,
) -> Result<DropletName, InputError> {
    let hash = Sha256::digest(token.expose_secret().as_bytes());
    let attempt: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    DropletName::parse(format!("{PRODUCT}-{environment}-{attempt}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn environment() -> EnvironmentId {
        "0199c0de-0000-7000-8000-000000000001".parse().unwrap()
    }

    #[test]
    fn a_droplet_needs_both_tags_to_be_ours() {
        let naming = Naming::new("prod").unwrap();
        let env = format!("ENV:{}", environment());
        let ours = |tags: &[&str]| {
            naming.is_ours(&testing::droplet(1, "agentopia-x", tags), environment())
        };
        assert!(ours(&["agentopia", "agentopia:prod", &env]));
        assert!(!ours(&["agentopia", "agentopia:prod"]));
        assert!(!ours(&["agentopia", &env]));
        assert!(!ours(&["agentopia:other", &env]));
    }

    #[test]
    fn a_firewall_tells_whose_it_is_and_those_of_others_tell_nothing() {
        let (naming, other) = (
            Naming::new("prod").unwrap(),
            Naming::new("prod-env").unwrap(),
        );
        let name = naming.machine_firewall(environment()).unwrap();
        assert_eq!(naming.owner_of_firewall(name.as_str()), Some(environment()));
        assert_eq!(other.owner_of_firewall(name.as_str()), None);
        for stranger in [other.base_firewall.as_str(), "agentopia-prod", "web"] {
            assert_eq!(naming.owner_of_firewall(stranger), None, "{stranger}");
        }
        let tag = environment_tag(environment()).unwrap();
        assert_eq!(
            environment_of(&tag.as_str().to_ascii_uppercase()),
            Some(environment())
        );
        assert_eq!(environment_of("env:prod"), None);
    }

    #[test]
    fn each_attempt_has_a_name_of_its_own_that_is_a_host_name() {
        let name = |token: &str| {
            let name = droplet_name(environment(), &SecretString::from(token));
            name.unwrap().as_str().to_owned()
        };
        assert_ne!(name("enr_a"), name("enr_b"));
        assert_eq!(name("enr_a"), name("enr_a"));
        assert!(name("enr_a").len() <= 63);
    }

    #[test]
    fn an_installation_has_a_plain_name() {
        for bad in ["", "Prod", "a b", "a_b", "ä", &"a".repeat(33)] {
            assert!(Naming::new(bad).is_none(), "{bad}");
        }
        assert!(Naming::new("team-1").is_some());
    }
}
