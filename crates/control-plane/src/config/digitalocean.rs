//! The table `[digitalocean]`: everything that the provider of that name is told (ENV-4).

use secrecy::SecretString;
use serde::Deserialize;

/// How droplets are made. Its variables are in `env.rs`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DigitalOcean {
    /// `DO_API_TOKEN`.
    pub api_token: Option<SecretString>,
    /// `DO_API_URL`: another address of the API, for a simulator; `https`, or `http` to this very
    /// machine.
    pub api_url: Option<String>,
    /// `DO_INSTALLATION`: tells this installation's droplets from those of others on the same
    /// account. Must never change while there are droplets.
    pub installation: String,
    /// `DO_DEFAULT_REGION`.
    pub default_region: Option<String>,
    /// `DO_DEFAULT_SIZE`.
    pub default_size: Option<String>,
    /// `DO_DEFAULT_IMAGE`; a recent Ubuntu unless given.
    pub default_image: Option<String>,
    /// `DO_ALLOWED_REGIONS`: the regions that accounts can choose, besides the default; any while
    /// it is empty.
    pub allowed_regions: Vec<String>,
    /// `DO_ALLOWED_SIZES`: the same for sizes.
    pub allowed_sizes: Vec<String>,
    /// `DO_ALLOWED_IMAGES`: the same for images.
    pub allowed_images: Vec<String>,
    /// `DO_SSH_KEY_FINGERPRINTS`, separated by commas.
    pub ssh_key_fingerprints: Vec<String>,
    /// `DO_CONTROL_PLANE_RANGES`: the addresses and networks from which the control plane reaches
    /// its machines, separated by commas. The port of the management agent is open to them only.
    pub control_plane_ranges: Vec<String>,
    /// `DO_ADMIN_SSH_RANGES`: from where SSH is let in; from nowhere unless given.
    pub admin_ssh_ranges: Vec<String>,
    /// Whether machines answer pings.
    pub icmp: bool,
    /// `DO_PROJECT_ID`: the project that droplets are put in.
    pub project_id: Option<String>,
    /// Whether DigitalOcean's own agent for metrics is installed.
    pub monitoring: bool,
}

impl Default for DigitalOcean {
    fn default() -> Self {
        Self {
            api_token: None,
            api_url: None,
            installation: "default".to_owned(),
            default_region: None,
            default_size: None,
            default_image: None,
            allowed_regions: Vec::new(),
            allowed_sizes: Vec::new(),
            allowed_images: Vec::new(),
            ssh_key_fingerprints: Vec::new(),
            control_plane_ranges: Vec::new(),
            admin_ssh_ranges: Vec::new(),
            icmp: false,
            project_id: None,
            monitoring: true,
        }
    }
}

/// What accounts can choose of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Allowed<'a> {
    list: &'a [String],
    default: Option<&'a str>,
}

impl<'a> Allowed<'a> {
    /// Whether it can be chosen.
    #[must_use]
    pub fn holds(self, choice: &str) -> bool {
        self.list.is_empty()
            || self.default == Some(choice)
            || self.list.iter().any(|each| each == choice)
    }

    /// Everything that can be chosen, the default first; nothing where everything can.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        let default = self.default.filter(|_| !self.list.is_empty());
        let others = self.list.iter().map(String::as_str);
        default
            .into_iter()
            .chain(others.filter(move |each| Some(*each) != default))
    }
}

impl DigitalOcean {
    /// The regions that accounts can choose (ENV-12).
    #[must_use]
    pub fn regions(&self) -> Allowed<'_> {
        allowed(&self.allowed_regions, self.default_region.as_deref())
    }

    /// The sizes that accounts can choose.
    #[must_use]
    pub fn sizes(&self) -> Allowed<'_> {
        allowed(&self.allowed_sizes, self.default_size.as_deref())
    }

    /// The images that accounts can choose.
    #[must_use]
    pub fn images(&self) -> Allowed<'_> {
        allowed(&self.allowed_images, self.default_image.as_deref())
    }
}

fn allowed<'a>(list: &'a [String], default: Option<&'a str>) -> Allowed<'a> {
    Allowed { list, default }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_limits_the_choice_and_the_default_is_always_in_it() {
        let list = ["fra1".to_owned(), "ams3".to_owned()];
        let some = allowed(&list, Some("nyc1"));
        assert_eq!(some.names().collect::<Vec<_>>(), ["nyc1", "fra1", "ams3"]);
        assert!(some.holds("nyc1") && some.holds("ams3") && !some.holds("sgp1"));
        let any = allowed(&[], Some("nyc1"));
        assert!(any.holds("sgp1"));
        assert_eq!(any.names().count(), 0);
    }
}
