//! The container's definition, as a pure function of the spec: every hardening measure that a tool
//! container gets stands here and nowhere else (security.md, "Containers").

use std::collections::HashMap;
use std::net::Ipv4Addr;

use agentopia_domain::EnvironmentId;
use agentopia_domain::direct_access::PortProtocol;
use agentopia_domain::spec::InstanceSpec;
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    ImageConfig, Mount, MountTmpfsOptions, MountType, PortBinding, PortMap, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};

use super::names::{self, LABEL_DIGEST};
use super::network::Allocation;
use crate::runtime::{ErrorCode, LABEL_GENERATION, LABEL_SPEC, Prepared, RuntimeError, spec_hash};

/// Where the container sees the directory with the socket of its tool-init.
pub(super) const SOCKET_DIR: &str = "/run/dtma";
/// Where the container sees the tool-init binary.
pub(super) const TOOL_INIT: &str = "/run/agentopia/tool-init";
/// The most that a tool may put into /tmp; it counts against its memory limit as well.
const TMP_MOST: u64 = 256 << 20;

/// Where things are on the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostPaths<'a> {
    /// The tool-init binary.
    pub(super) tool_init: &'a str,
    /// The instance's own directory, which holds nothing but the socket.
    pub(super) socket_dir: &'a str,
}

/// What PID 1 is given to run: the image's entrypoint, then the spec's arguments or the image's.
///
/// # Errors
/// `ImageUnusable` if there is nothing to run.
pub(super) fn command(
    spec: &InstanceSpec,
    image: &ImageConfig,
) -> Result<Vec<String>, RuntimeError> {
    let mut command = image.entrypoint.clone().unwrap_or_default();
    if spec.program.args.is_empty() {
        command.extend(image.cmd.clone().unwrap_or_default());
    } else {
        command.extend(spec.program.args.iter().cloned());
    }
    if command.is_empty() {
        return Err(RuntimeError::new(
            ErrorCode::ImageUnusable,
            format!(
                "{} has neither an entrypoint nor a command: give the program as arguments of the catalog version",
                spec.program.image.reference()
            ),
        ));
    }
    Ok(command)
}

/// Refuses a volume that would lie over what we mount ourselves.
///
/// # Errors
/// `Unsupported`.
pub(super) fn check_volume(spec: &InstanceSpec) -> Result<(), RuntimeError> {
    let Some(volume) = &spec.volume else {
        return Ok(());
    };
    let path = volume.mount_path.trim_end_matches('/');
    let clashes = |ours: &str| {
        path == ours
            || path
                .strip_prefix(ours)
                .is_some_and(|rest| rest.starts_with('/'))
            || ours
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let taken = ["/run/dtma", "/run/agentopia", "/proc", "/sys", "/dev"];
    if !path.starts_with('/')
        || path.contains("/../")
        || path.ends_with("/..")
        || taken.into_iter().any(clashes)
    {
        return Err(RuntimeError::new(
            ErrorCode::Unsupported,
            format!(
                "a volume can't be mounted at {}: choose another path in the catalog entry",
                volume.mount_path
            ),
        ));
    }
    Ok(())
}

/// The definition of the instance's container.
///
/// # Errors
/// See [`command`] and [`check_volume`].
pub(super) fn container(
    spec: &InstanceSpec,
    prepared: &Prepared,
    image: &ImageConfig,
    allocation: Allocation,
    resolver: Option<Ipv4Addr>,
    paths: HostPaths<'_>,
) -> Result<ContainerCreateBody, RuntimeError> {
    check_volume(spec)?;
    let mut arguments = vec!["--".to_owned()];
    arguments.extend(command(spec, image)?);
    Ok(ContainerCreateBody {
        image: Some(prepared.target.clone()),
        // A user of its own for every instance, so that none can read another's /proc entries,
        // and never the root of the image; always with a group, or an image without a group file
        // gives group 0.
        user: Some(format!("{0}:{0}", allocation.uid)),
        entrypoint: Some(vec![TOOL_INIT.to_owned()]),
        cmd: Some(arguments),
        // Neither configuration nor secrets: the engine writes this to disk. See `super::init`.
        env: None,
        labels: Some(labels(spec, prepared, allocation)),
        stop_signal: Some("SIGTERM".to_owned()),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        exposed_ports: published(spec, allocation).map(|ports| ports.into_keys().collect()),
        host_config: Some(HostConfig {
            // The engine asks no other on behalf of the container then.
            dns: resolver.map(|address| vec![address.to_string()]),
            ..host_config(spec, image, allocation, paths)
        }),
        ..ContainerCreateBody::default()
    })
}

fn labels(spec: &InstanceSpec, prepared: &Prepared, allocation: Allocation) -> names::Labels {
    let mut labels = names::labels(spec.environment_id, spec.instance_id);
    allocation.write(&mut labels);
    labels.insert(LABEL_GENERATION.to_owned(), spec.generation.to_string());
    labels.insert(LABEL_SPEC.to_owned(), spec_hash(spec));
    if let Some(digest) = &prepared.image_digest {
        labels.insert(LABEL_DIGEST.to_owned(), digest.clone());
    }
    labels
}

/// The tool's direct port on the instance's port of the machine. For IPv4 only: the engine's proxy,
/// which would stand in for IPv6, hides from where a connection comes.
fn published(spec: &InstanceSpec, allocation: Allocation) -> Option<PortMap> {
    let access = spec.direct_access.as_ref()?;
    let binding = PortBinding {
        host_ip: Some("0.0.0.0".to_owned()),
        host_port: Some(allocation.port.to_string()),
    };
    let key = |protocol: &PortProtocol| format!("{}/{}", access.port, protocol.as_str());
    let ports = access.protocols.iter().map(key);
    Some(
        ports
            .map(|key| (key, Some(vec![binding.clone()])))
            .collect(),
    )
}

fn host_config(
    spec: &InstanceSpec,
    image: &ImageConfig,
    allocation: Allocation,
    paths: HostPaths<'_>,
) -> HostConfig {
    let memory = i64::try_from(spec.resources.memory_bytes).unwrap_or(i64::MAX);
    let tmp = (spec.resources.memory_bytes / 2).clamp(1 << 20, TMP_MOST);
    HostConfig {
        network_mode: Some(names::object(spec.instance_id)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        // The engine's default seccomp profile applies as long as none is named here.
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        // Executable, because Python wheels and Node add-ons are unpacked and mapped from here.
        tmpfs: Some(HashMap::from([(
            "/tmp".to_owned(),
            format!("rw,exec,nosuid,nodev,mode=1777,size={tmp}"),
        )])),
        mounts: Some(mounts(spec, image, paths, tmp)),
        memory: Some(memory),
        // The same number means: no swap on top.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(spec.resources.cpu_millis) * 1_000_000),
        pids_limit: Some(i64::from(spec.resources.pids)),
        ulimits: Some(vec![ResourcesUlimits {
            // Core dumps would put secrets on disk.
            name: Some("core".to_owned()),
            soft: Some(0),
            hard: Some(0),
        }]),
        // The reconciler starts it again, with fresh secrets, and counts.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        init: Some(false),
        ipc_mode: Some("private".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        publish_all_ports: Some(false),
        port_bindings: published(spec, allocation),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        }),
        ..HostConfig::default()
    }
}

fn mounts(spec: &InstanceSpec, image: &ImageConfig, paths: HostPaths<'_>, tmp: u64) -> Vec<Mount> {
    let bind = |source: &str, target: &str| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(true),
        ..Mount::default()
    };
    let mut mounts = vec![
        bind(paths.socket_dir, SOCKET_DIR),
        bind(paths.tool_init, TOOL_INIT),
    ];
    let volume = spec
        .volume
        .as_ref()
        .map(|volume| volume.mount_path.as_str());
    if let Some(path) = volume {
        mounts.push(Mount {
            typ: Some(MountType::VOLUME),
            source: Some(names::volume(spec.volume_of().unwrap_or(spec.instance_id))),
            target: Some(path.to_owned()),
            read_only: Some(false),
            ..Mount::default()
        });
    }
    // What the image declares as a volume would become an anonymous one, unbounded and owned by
    // root: it gets memory instead, as little as /tmp.
    let declared = image
        .volumes
        .iter()
        .flatten()
        .map(|path| path.trim_end_matches('/'));
    for path in declared.filter(|path| Some(*path) != volume && !["", "/tmp"].contains(path)) {
        mounts.push(Mount {
            typ: Some(MountType::TMPFS),
            target: Some(path.to_owned()),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: i64::try_from(tmp).ok(),
                mode: Some(0o1777),
                ..MountTmpfsOptions::default()
            }),
            ..Mount::default()
        });
    }
    mounts
}

/// Whether a container of this definition belongs to the environment; kept beside [`labels`].
pub(super) fn is_for(spec: &InstanceSpec, environment: EnvironmentId) -> Result<(), RuntimeError> {
    if spec.environment_id == environment {
        return Ok(());
    }
    Err(RuntimeError::new(
        ErrorCode::Unsupported,
        "the instance is meant for another environment's machine",
    ))
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
