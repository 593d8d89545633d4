//! The container that a machine is, as a pure function of its plan. What a machine may do beyond an
//! ordinary container stands here and nowhere else.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount, MountType, NetworkingConfig,
    RestartPolicy, RestartPolicyNameEnum,
};

use super::HostMount;
use crate::machines::{Address, Limits, MachinePlan};

/// The subnet that a container, or the network, belongs to.
pub(super) const LABEL_SUBNET: &str = "digitalocean-sim.subnet";
/// The droplet's id.
pub(super) const LABEL_DROPLET: &str = "digitalocean-sim.droplet";

/// What surrounds a machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) image: &'a str,
    pub(super) subnet: &'a str,
    pub(super) network: &'a str,
    pub(super) address: Address,
    /// What it sees as `/var/lib/docker`.
    pub(super) docker: &'a Path,
    pub(super) resolver: &'a Path,
    pub(super) mounts: &'a [HostMount],
    /// CPUs that there are.
    pub(super) processors: u32,
}

/// The definition of a machine.
pub(super) fn container(plan: &MachinePlan, around: Surroundings<'_>) -> ContainerCreateBody {
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(around.address.ip.to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    ContainerCreateBody {
        image: Some(around.image.to_owned()),
        hostname: Some(host_name(&plan.name)),
        env: Some(vec![format!("DROPLET_ID={}", plan.droplet)]),
        labels: Some(HashMap::from([
            (LABEL_SUBNET.to_owned(), around.subnet.to_owned()),
            (LABEL_DROPLET.to_owned(), plan.droplet.to_string()),
        ])),
        host_config: Some(host_config(plan.limits, around)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(around.network.to_owned(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// systemd and an engine inside need most of what root of a machine has. Not `privileged`, for which the
/// host would need CAP_SYS_RESOURCE and may not have it.
fn host_config(limits: Limits, around: Surroundings<'_>) -> HostConfig {
    let limits = Share::of(limits, around.processors);
    HostConfig {
        network_mode: Some(around.network.to_owned()),
        cap_add: Some(vec!["ALL".to_owned()]),
        cap_drop: Some(vec!["SYS_RESOURCE".to_owned()]),
        security_opt: Some(vec![
            "seccomp=unconfined".to_owned(),
            "apparmor=unconfined".to_owned(),
        ]),
        // Nothing of /proc is hidden or read-only: what `systempaths=unconfined` is to the API.
        masked_paths: Some(vec![]),
        readonly_paths: Some(vec![]),
        device_cgroup_rules: Some(vec!["a *:* rwm".to_owned()]),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        tmpfs: Some(HashMap::from([
            ("/run".to_owned(), "exec,mode=755".to_owned()),
            ("/run/lock".to_owned(), String::new()),
            ("/tmp".to_owned(), "exec,mode=1777".to_owned()),
        ])),
        mounts: Some(mounts(around)),
        memory: Some(limits.memory),
        // The same number means: no swap on top.
        memory_swap: Some(limits.memory),
        nano_cpus: Some(limits.nano_cpus),
        // Whether it starts again is for the simulator to decide.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "1m".to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        }),
        ..HostConfig::default()
    }
}

fn mounts(around: Surroundings<'_>) -> Vec<Mount> {
    let bind = |source: &Path, target: &Path, read_only| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_string_lossy().into_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    };
    let mut mounts = vec![
        bind(around.docker, Path::new("/var/lib/docker"), false),
        // The engine's own resolver would be on loopback, where containers inside can't reach it.
        bind(around.resolver, Path::new("/etc/resolv.conf"), true),
    ];
    let asked = around.mounts.iter();
    mounts.extend(asked.map(|mount| bind(&mount.host, &mount.machine, true)));
    mounts
}

/// Other limits for a machine that is there.
pub(super) fn update(limits: Limits, processors: u32) -> ContainerUpdateBody {
    let share = Share::of(limits, processors);
    ContainerUpdateBody {
        memory: Some(share.memory),
        memory_swap: Some(share.memory),
        nano_cpus: Some(share.nano_cpus),
        ..ContainerUpdateBody::default()
    }
}

/// What a machine gets of the host, in the engine's units.
struct Share {
    memory: i64,
    nano_cpus: i64,
}

impl Share {
    /// The engine refuses more CPUs than the host has.
    fn of(limits: Limits, processors: u32) -> Self {
        Self {
            memory: i64::from(limits.memory) << 20,
            nano_cpus: i64::from(limits.vcpus.min(processors)) * 1_000_000_000,
        }
    }
}

/// A droplet's name as a host's: the kernel takes 64 characters, a droplet has up to 255.
fn host_name(name: &str) -> String {
    name.chars().take(63).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_gets_what_its_size_says_and_no_more_than_there_is() {
        let limits = Limits {
            vcpus: 4,
            memory: 8192,
            disk: 160,
        };
        let large = update(limits, 2);
        assert_eq!(large.nano_cpus, Some(2_000_000_000));
        assert_eq!(large.memory, Some(8 << 30));
        assert_eq!(large.memory, large.memory_swap, "no swap");
        assert_eq!(update(limits, 16).nano_cpus, Some(4_000_000_000));
    }

    #[test]
    fn a_host_name_is_one_that_the_kernel_takes() {
        assert_eq!(host_name(&"a".repeat(255)).len(), 63);
    }
}
