//! Arguments of the program that are about machines.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use digitalocean_sim::machines::{DockerOptions, HostMount};
use ipnet::Ipv4Net;

/// The smallest subnet: a gateway, and a few machines.
const LONGEST_PREFIX: u8 = 28;

/// What stands behind droplets, and how it is made.
#[derive(Debug, Args)]
pub(crate) struct MachineArguments {
    /// What stands behind droplets
    #[arg(long, value_enum, default_value_t = Backing::None)]
    machines: Backing,
    /// The image of machines, as script/droplet-image prints it
    #[arg(long, value_name = "IMAGE", required_if_eq("machines", "docker"))]
    machine_image: Option<String>,
    /// The network of machines, which no other network of this host overlaps; its first address is this
    /// host's
    #[arg(long, value_name = "SUBNET", default_value = "10.77.0.0/24")]
    machine_subnet: Ipv4Net,
    /// Where the disks of machines are
    #[arg(long, value_name = "DIR", default_value = "/var/lib/digitalocean-sim")]
    machine_dir: PathBuf,
    /// A file or directory of this host that all machines see, read-only
    #[arg(long, value_name = "HOST:MACHINE", value_parser = mount)]
    machine_mount: Vec<HostMount>,
}

/// What stands behind droplets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backing {
    /// Nothing
    None,
    /// Containers with systemd, cloud-init and a Docker Engine of their own
    Docker,
}

impl MachineArguments {
    /// How real machines are made, where there are to be any.
    pub(crate) fn docker(&self) -> anyhow::Result<Option<DockerOptions>> {
        if self.machines == Backing::None {
            return Ok(None);
        }
        anyhow::ensure!(
            self.machine_subnet.prefix_len() <= LONGEST_PREFIX,
            "{} is too small for machines: --machine-subnet takes a prefix of at most {LONGEST_PREFIX}",
            self.machine_subnet
        );
        let image = self.machine_image.clone();
        Ok(Some(DockerOptions {
            image: image.context("--machines docker needs --machine-image")?,
            subnet: self.machine_subnet.trunc(),
            directory: std::path::absolute(&self.machine_dir)?,
            mounts: self.machine_mount.clone(),
        }))
    }
}

fn mount(text: &str) -> Result<HostMount, &'static str> {
    match text.split_once(':') {
        Some((host, machine)) if host.starts_with('/') && machine.starts_with('/') => {
            Ok(HostMount {
                host: host.into(),
                machine: machine.into(),
            })
        }
        _ => Err("it has to be two absolute paths with a colon between them"),
    }
}
