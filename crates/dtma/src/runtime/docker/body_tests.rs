//! What a tool's container is made of.

use std::collections::BTreeMap;

use agentopia_domain::Ambient;
use agentopia_domain::catalog::{StdioProcesses, Transport};
use agentopia_domain::direct_access::{DirectAccess, Sources};
use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::resources::Resources;
use agentopia_domain::spec::{ImageRef, Program, VolumeSpec};

use super::*;

fn spec() -> InstanceSpec {
    let ambient = Ambient::system();
    InstanceSpec {
        instance_id: ambient.new_id(),
        environment_id: ambient.new_id(),
        account_id: ambient.new_id(),
        generation: 3,
        desired: DesiredInstance::Running,
        restart_nonce: 0,
        version: "1".into(),
        pinned: None,
        drain: false,
        program: Program {
            image: ImageRef {
                repository: "r/echo".into(),
                tag: Some("1".into()),
                digest: None,
            },
            args: Vec::new(),
            process: Vec::new(),
        },
        package: None,
        transport: Transport::Stdio {
            processes: StdioProcesses::PerSession,
        },
        env: BTreeMap::from([("GREETING".to_owned(), "hello-canary".to_owned())]),
        secret_names: vec!["API_KEY".into()],
        secrets_revision: 0,
        resources: Resources::default(),
        volume: None,
        direct_access: None,
        egress: Default::default(),
    }
}

fn image() -> ImageConfig {
    ImageConfig {
        entrypoint: Some(vec!["/server".into()]),
        cmd: Some(vec!["--default".into()]),
        volumes: Some(vec!["/cache".into(), "/data/".into()]),
        user: Some("root".into()),
        ..ImageConfig::default()
    }
}

const ALLOCATION: Allocation = Allocation {
    uid: 200_123,
    port: 30_200,
};
const PATHS: HostPaths<'_> = HostPaths {
    tool_init: "/opt/tool-init",
    socket_dir: "/run/dtma/x",
};

fn body(spec: &InstanceSpec) -> ContainerCreateBody {
    let prepared = Prepared {
        target: "sha256:i".into(),
        image_digest: Some("sha256:d".into()),
        note: None,
    };
    container(spec, &prepared, &image(), ALLOCATION, None, PATHS).unwrap()
}

#[test]
fn every_hardening_measure_is_there() {
    let spec = spec();
    let body = body(&spec);
    let host = body.host_config.unwrap();
    assert_eq!(body.user.as_deref(), Some("200123:200123"));
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.cap_add, None);
    assert_eq!(
        host.security_opt,
        Some(vec!["no-new-privileges".to_owned()])
    );
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.privileged, Some(false));
    assert_eq!(host.pids_limit, Some(256));
    assert_eq!(host.memory, Some(256 << 20));
    assert_eq!(host.memory_swap, host.memory);
    assert_eq!(host.nano_cpus, Some(500_000_000));
    assert_eq!(host.port_bindings, None);
    assert_eq!(host.binds, None);
    assert_eq!(host.devices, None);
    assert_eq!(
        host.network_mode,
        Some(format!("agentopia-{}", spec.instance_id))
    );
    assert!(host.tmpfs.unwrap()["/tmp"].contains("nosuid,nodev"));
}

#[test]
fn the_only_host_paths_are_the_socket_directory_and_tool_init_both_read_only() {
    let mut spec = spec();
    spec.volume = Some(VolumeSpec {
        mount_path: "/data".into(),
        of: None,
    });
    let mounts = body(&spec).host_config.unwrap().mounts.unwrap();
    let binds: Vec<_> = mounts
        .iter()
        .filter(|mount| mount.typ == Some(MountType::BIND))
        .collect();
    assert_eq!(binds.len(), 2);
    assert!(binds.iter().all(|mount| mount.read_only == Some(true)));
    // The declared volume that ours lies on is ours; the other one is memory.
    let at = |path: &str| {
        mounts
            .iter()
            .filter(|mount| mount.target.as_deref() == Some(path))
            .map(|mount| mount.typ)
            .collect::<Vec<_>>()
    };
    assert_eq!(at("/data"), [Some(MountType::VOLUME)]);
    assert_eq!(at("/cache"), [Some(MountType::TMPFS)]);
}

#[test]
fn configuration_stays_out_of_what_the_engine_writes_down() {
    let text = serde_json::to_string(&body(&spec())).unwrap();
    assert!(!text.contains("hello-canary"));
    assert!(!text.contains("API_KEY"));
}

#[test]
fn the_specs_arguments_replace_the_images_command_and_not_its_entrypoint() {
    let mut spec = spec();
    assert_eq!(body(&spec).cmd.unwrap(), ["--", "/server", "--default"]);
    spec.program.args = vec!["--mine".into()];
    assert_eq!(body(&spec).cmd.unwrap(), ["--", "/server", "--mine"]);
}

#[test]
fn an_image_with_nothing_to_run_is_refused() {
    let error = command(&spec(), &ImageConfig::default()).unwrap_err();
    assert_eq!(error.code, ErrorCode::ImageUnusable);
}

#[test]
fn a_volume_over_our_own_mounts_is_refused() {
    let mut spec = spec();
    for path in [
        "/run",
        "/run/dtma",
        "/run/agentopia/tool-init",
        "/proc/self",
        "/",
        "relative",
        "/a/../run/dtma",
    ] {
        spec.volume = Some(VolumeSpec {
            mount_path: path.into(),
            of: None,
        });
        assert!(check_volume(&spec).is_err(), "{path}");
    }
    for path in ["/data", "/running", "/home/user/data"] {
        spec.volume = Some(VolumeSpec {
            mount_path: path.into(),
            of: None,
        });
        assert!(check_volume(&spec).is_ok(), "{path}");
    }
}

#[test]
fn a_direct_port_is_on_the_instances_own_port_for_ipv4_and_on_no_other() {
    let mut spec = spec();
    let before = spec_hash(&spec);
    let access = DirectAccess {
        port: 53,
        protocols: [PortProtocol::Tcp, PortProtocol::Udp].into(),
        sources: Sources::parse(["203.0.113.7"]).unwrap(),
    };
    spec.direct_access = Some(access.clone());
    let body = body(&spec);
    let mut exposed = body.exposed_ports.unwrap();
    exposed.sort_unstable();
    assert_eq!(exposed, ["53/tcp", "53/udp"]);
    let ports = body.host_config.unwrap().port_bindings.unwrap();
    assert_eq!(ports.len(), 2);
    for binding in ports.into_values().flatten().flatten() {
        assert_eq!(binding.host_ip.as_deref(), Some("0.0.0.0"));
        assert_eq!(binding.host_port.as_deref(), Some("30200"));
    }
    let published = spec_hash(&spec);
    assert_ne!(published, before, "another container");
    let mut elsewhere = spec.clone();
    elsewhere.direct_access = Some(DirectAccess {
        sources: Sources::parse(["0.0.0.0/0"]).unwrap(),
        ..access
    });
    assert_eq!(spec_hash(&elsewhere), published, "the same container");
    assert!(!spec.needs_recreate(&elsewhere));
}
