//! Which provider machines come from, set up from the configuration; and what its machines need
//! from our listener.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentopia_cloud::MachineProvider;
use agentopia_cloud::bootstrap::{AgentImage, AgentSource};
use agentopia_cloud::local::{LocalConfig, LocalProvider};
use agentopia_digitalocean::provider::{DigitalOceanProvider, ProviderSettings};
use agentopia_digitalocean::{Budget, Client, Endpoint, HttpsTransport, ProjectId};
use agentopia_domain::Ambient;
use agentopia_domain::environment::ProviderKind;
use anyhow::Context as _;

use super::programs;
use crate::config::{Config, DigitalOcean, LocalRuntime};
use crate::machines::listener::Downloads;

/// The port of the DTMA on a machine that is its own.
const DTMA_PORT: u16 = 30_000;
/// What droplets are made from unless the operator says otherwise.
const IMAGE: &str = "ubuntu-24-04-x64";

/// Where machines come from.
#[derive(Debug)]
pub(super) struct Machines {
    pub(super) provider: Arc<dyn MachineProvider>,
    /// What they download.
    pub(super) downloads: Option<Downloads>,
    /// The DTMA that they are to run, if they are to be updated.
    pub(super) offer: Option<Downloads>,
}

/// # Errors
/// When something is missing or wrong; the sentence says which setting.
pub(super) fn machines(config: &Config, ambient: &Ambient) -> anyhow::Result<Machines> {
    let (provider, downloads): (Arc<dyn MachineProvider>, _) = match config.provider {
        ProviderKind::Local => {
            if config.dtma_docker_image_url.is_some() {
                tracing::warn!(
                    "`dtma_docker_image_url` (DTMA_DOCKER_IMAGE_URL) has no effect: the provider \
                     `local` runs the program"
                );
            }
            let local = local(config)?;
            // They begin with these very files, and update themselves when others are put there.
            let downloads = Downloads::open(&local.dtma, local.tool_init.as_deref())?;
            (Arc::new(LocalProvider::new(local)), Some(downloads))
        }
        ProviderKind::Digitalocean => digitalocean(config, ambient)?,
    };
    Ok(Machines {
        provider,
        // One that runs from an image can't replace itself.
        offer: downloads.clone().filter(|_| config.dtma_auto_update),
        downloads,
    })
}

fn digitalocean(
    config: &Config,
    ambient: &Ambient,
) -> anyhow::Result<(Arc<dyn MachineProvider>, Option<Downloads>)> {
    let own = &config.digitalocean;
    let token = own.api_token.clone().context(
        "the provider `digitalocean` needs a personal access token: make one in DigitalOcean's \
         control panel (API, Tokens) and set DO_API_TOKEN",
    )?;
    reachable(config)?;
    let endpoint = match &own.api_url {
        Some(address) => Endpoint::parse(address).context("`digitalocean.api_url` (DO_API_URL)")?,
        None => Endpoint::production(),
    };
    let (agent, downloads) = agent(config)?;
    let transport = Arc::new(HttpsTransport::new(&endpoint)?);
    let client = Client::new(
        transport,
        endpoint,
        token,
        Budget::default(),
        ambient.clone(),
    );
    let settings = settings(own, agent);
    let provider = DigitalOceanProvider::new(client.context("DO_API_TOKEN")?, settings)?;
    Ok((Arc::new(provider), downloads))
}

/// How droplets get the DTMA, and what they download of us for it.
fn agent(config: &Config) -> anyhow::Result<(AgentSource, Option<Downloads>)> {
    if let Some(name) = &config.dtma_docker_image_url {
        let image =
            AgentImage::parse(name).context("`dtma_docker_image_url` (DTMA_DOCKER_IMAGE_URL)")?;
        if !image.is_pinned() {
            tracing::warn!(
                %image,
                "whoever can push this image has root on machines that are made: pin it by its \
                 digest (NAME@sha256:…)"
            );
        }
        return Ok((AgentSource::Image(image), None));
    }
    let (dtma, tool_init) = (dtma(config)?, tool_init(config)?);
    programs::check(&dtma, &tool_init, image(&config.digitalocean))?;
    let downloads = Downloads::open(&dtma, Some(&tool_init))?;
    let programs = downloads.programs().context("`tool_init_binary`")?;
    Ok((AgentSource::Programs(programs), Some(downloads)))
}

fn settings(own: &DigitalOcean, agent: AgentSource) -> ProviderSettings {
    ProviderSettings {
        installation: own.installation.clone(),
        region: own.default_region.clone(),
        size: own.default_size.clone(),
        image: image(own).to_owned(),
        ssh_keys: own.ssh_key_fingerprints.clone(),
        control_plane_ranges: own.control_plane_ranges.clone(),
        admin_ranges: own.admin_ssh_ranges.clone(),
        icmp: own.icmp,
        project: own.project_id.clone().map(ProjectId),
        monitoring: own.monitoring,
        dtma_port: DTMA_PORT,
        agent,
    }
}

fn image(own: &DigitalOcean) -> &str {
    own.default_image.as_deref().unwrap_or(IMAGE)
}

/// A machine elsewhere can't call an address that only this machine has.
fn reachable(config: &Config) -> anyhow::Result<()> {
    let url = url::Url::parse(&config.dtma_url()).context("`dtma_advertise_url`")?;
    let here = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => true,
    };
    anyhow::ensure!(
        !here,
        "machines can't reach the control plane at {url}: set `dtma_listen` to an address that the \
         network reaches, such as 0.0.0.0:8443, and `dtma_advertise_url` to what machines are to \
         call, such as https://203.0.113.7:8443"
    );
    Ok(())
}

/// How the `local` provider starts machines, with programs found beside our own unless given.
fn local(config: &Config) -> anyhow::Result<LocalConfig> {
    let own_dir = std::env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(Path::to_owned));
    Ok(LocalConfig {
        root: absolute(&config.data_dir)?.join("machines"),
        dtma: absolute(&dtma(config)?)?,
        tool_init: config
            .tool_init_binary
            .clone()
            .or_else(|| beside("tool-init")),
        tools_dir: config.tools_dir.clone().or(own_dir),
        runtime: match config.local_runtime {
            LocalRuntime::Auto => "auto",
            LocalRuntime::Docker => "docker",
            LocalRuntime::Process => "process",
        }
        .to_owned(),
        first_port: config.local_first_port,
    })
}

fn dtma(config: &Config) -> anyhow::Result<PathBuf> {
    let given = config.dtma_binary.clone();
    given
        .or_else(|| beside("dtma"))
        .context("the program `dtma` is not beside `agentopia`; put it there or set `dtma_binary`")
}

fn tool_init(config: &Config) -> anyhow::Result<PathBuf> {
    let given = config.tool_init_binary.clone();
    given.or_else(|| beside("tool-init")).context(
        "the program `tool-init` is not beside `agentopia`; put it there or set `tool_init_binary`",
    )
}

fn beside(name: &str) -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.parent()?.join(name);
    path.is_file().then_some(path)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} is no usable path", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &Path, env: &[(&str, &str)]) -> Config {
        let file = dir.join("a.toml");
        std::fs::write(&file, "provider = 'digitalocean'").unwrap();
        for program in ["dtma", "tool-init"] {
            std::fs::write(dir.join(program), programs::static_program()).unwrap();
        }
        let text = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let (dtma, tool_init) = (text("dtma"), text("tool-init"));
        Config::load_with(Some(&file), |name| match name {
            "HOME" => Some("/home/me".to_owned()),
            "AGENTOPIA_DTMA_BINARY" => Some(dtma.clone()),
            "AGENTOPIA_TOOL_INIT_BINARY" => Some(tool_init.clone()),
            _ => {
                let set = env.iter().find(|(key, _)| *key == name);
                set.map(|(_, value)| (*value).to_owned())
            }
        })
        .unwrap()
    }

    const FULL: [(&str, &str); 4] = [
        ("DO_API_TOKEN", "dop_v1_canary"),
        ("DO_API_URL", "http://127.0.0.1:9"),
        ("DO_CONTROL_PLANE_RANGES", "203.0.113.7, 198.51.100.0/24"),
        ("AGENTOPIA_DTMA_ADVERTISE_URL", "https://203.0.113.7:8443"),
    ];

    #[tokio::test]
    async fn a_complete_configuration_gives_the_provider() {
        let dir = tempfile::tempdir().unwrap();
        let made = machines(&config(dir.path(), &FULL), &Ambient::system()).unwrap();
        assert_eq!(made.provider.kind(), ProviderKind::Digitalocean);
        assert!(made.downloads.is_some() && made.offer.is_some());
        assert!(!format!("{made:?}").contains("canary"));
    }

    #[tokio::test]
    async fn an_image_needs_no_programs_and_offers_none() {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("registry.example.com/dtma@sha256:{}", "ab".repeat(32));
        let mut env = FULL.to_vec();
        env.push(("DTMA_DOCKER_IMAGE_URL", &name));
        let mut config = config(dir.path(), &env);
        config.dtma_binary = Some("/nowhere/dtma".into());
        let made = machines(&config, &Ambient::system()).unwrap();
        assert!(made.downloads.is_none() && made.offer.is_none());
        config.dtma_docker_image_url = Some("two words".to_owned());
        let error = machines(&config, &Ambient::system()).unwrap_err();
        assert!(
            format!("{error:#}").contains("DTMA_DOCKER_IMAGE_URL"),
            "{error:#}"
        );
    }

    #[tokio::test]
    async fn machines_keep_their_version_where_updates_are_turned_off() {
        let dir = tempfile::tempdir().unwrap();
        let mut env = FULL.to_vec();
        env.push(("AGENTOPIA_DTMA_AUTO_UPDATE", "false"));
        let made = machines(&config(dir.path(), &env), &Ambient::system()).unwrap();
        assert!(made.downloads.is_some() && made.offer.is_none());
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for (left_out, expected) in [
            ("DO_API_TOKEN", "set DO_API_TOKEN"),
            ("DO_CONTROL_PLANE_RANGES", "DO_CONTROL_PLANE_RANGES"),
            ("AGENTOPIA_DTMA_ADVERTISE_URL", "dtma_advertise_url"),
        ] {
            let env: Vec<_> = FULL
                .into_iter()
                .filter(|(key, _)| *key != left_out)
                .collect();
            let error = machines(&config(dir.path(), &env), &Ambient::system()).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        for (key, value, expected) in [
            ("DO_API_URL", "http://example.com", "in the clear"),
            ("DO_API_TOKEN", "two words", "copy it again"),
            (
                "DO_CONTROL_PLANE_RANGES",
                "home",
                "neither an address nor a network",
            ),
        ] {
            let mut env = FULL.to_vec();
            env.retain(|(each, _)| *each != key);
            env.push((key, value));
            let error = machines(&config(dir.path(), &env), &Ambient::system()).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
    }
}
