//! Where addresses that people enter may lead to (SEC-7); `agentopia-remote` holds to it.

use std::net::IpAddr;

use agentopia_remote::RemotePolicy;
use url::Host;

use super::Config;

impl Config {
    /// What the operator allows, and never ourselves as far as our addresses are known.
    #[must_use]
    pub fn remote_policy(&self) -> RemotePolicy {
        let public = self.public_url.as_ref().and_then(url::Url::host);
        let public = public.and_then(|host| match host {
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
            Host::Domain(_) => None,
        });
        let bound = [self.bind, self.dtma_listen].map(|bound| bound.ip());
        RemotePolicy::allowing(self.remote_allow.iter().copied())
            .but_not(bound)
            .but_not(public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inner_and_not_ourselves_unless_the_operator_says_so() {
        let mut config = Config {
            bind: "8.8.4.4:443".parse().unwrap(),
            public_url: Some("https://9.9.9.9".parse().unwrap()),
            ..Config::default()
        };
        let judge = |config: &Config, address: &str| {
            let address = address.parse().unwrap();
            config.remote_policy().judge(address, true).is_ok()
        };
        for refused in ["8.8.4.4", "9.9.9.9", "127.0.0.1", "10.0.0.1"] {
            assert!(!judge(&config, refused), "{refused}");
        }
        assert!(judge(&config, "1.1.1.1"));
        config.remote_allow = vec!["10.0.0.0/8".parse().unwrap()];
        assert!(judge(&config, "10.0.0.1"));
        assert!(!judge(&config, "127.0.0.1"));
    }
}
