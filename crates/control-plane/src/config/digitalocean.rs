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
            ssh_key_fingerprints: Vec::new(),
            control_plane_ranges: Vec::new(),
            admin_ssh_ranges: Vec::new(),
            icmp: false,
            project_id: None,
            monitoring: true,
        }
    }
}
