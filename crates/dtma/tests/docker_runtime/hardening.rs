//! What a tool's container may not do, seen from the engine and from the kernel.

use std::process::Command;

use agentopia_dtma::runtime::Runtime as _;
use serde_json::json;

use crate::machine::Machine;
use crate::support;

/// The kernel's word about the first server process of a container.
fn status_of(pid: i64) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
}

#[tokio::test]
async fn the_kernel_confirms_every_measure() {
    let machine = Machine::new().await;
    let spec = machine.echo().await;
    machine.start(&spec).await;
    let shown = machine.inspect(&spec).await;
    let host = shown.host_config.unwrap();
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.memory, host.memory_swap);
    assert_eq!(host.pids_limit, Some(32));
    assert!(host.port_bindings.unwrap_or_default().is_empty());
    let status = status_of(shown.state.unwrap().pid.unwrap());
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} is missing in {status}"))
            .trim()
            .to_owned()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&line(set), 16).unwrap(), 0, "{set}");
    }
    assert_eq!(line("NoNewPrivs:"), "1");
    assert_eq!(
        line("Seccomp:"),
        "2",
        "the filter of the engine's default profile"
    );
    let uids: Vec<u32> = line("Uid:")
        .split_ascii_whitespace()
        .map(|id| id.parse().unwrap())
        .collect();
    assert!(
        uids.iter().all(|uid| (200_000..260_000).contains(uid)),
        "{uids:?}"
    );
    assert_eq!(line("Uid:"), line("Gid:"));
}

#[tokio::test]
async fn two_instances_share_neither_user_nor_network() {
    let machine = Machine::new().await;
    let (one, two) = (machine.echo().await, machine.echo().await);
    machine.start(&one).await;
    machine.start(&two).await;
    let (one, two) = (machine.inspect(&one).await, machine.inspect(&two).await);
    assert_ne!(
        one.config.as_ref().unwrap().user,
        two.config.as_ref().unwrap().user
    );
    let networks = |container: &bollard::models::ContainerInspectResponse| {
        let networks = container
            .network_settings
            .clone()
            .unwrap()
            .networks
            .unwrap();
        assert_eq!(networks.len(), 1);
        networks.into_values().next().unwrap().network_id.unwrap()
    };
    assert_ne!(networks(&one), networks(&two));
}

#[tokio::test]
async fn the_socket_directory_is_the_machines_and_holds_no_socket_while_connected() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let machine = Machine::new().await;
    let spec = machine.echo().await;
    machine.start(&spec).await;
    let run = machine.directory.path().join("run");
    assert_eq!(run.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let own = run.join(spec.instance_id.to_string());
    let metadata = own.metadata().unwrap();
    assert_eq!(
        (metadata.uid(), metadata.permissions().mode() & 0o777),
        (0, 0o755)
    );
    assert_eq!(
        std::fs::read_dir(&own).unwrap().count(),
        0,
        "unlinked once the right one connected"
    );
}

#[tokio::test]
async fn the_metadata_service_is_closed_to_containers() {
    let _machine = Machine::new().await;
    for chain in ["DOCKER-USER", "INPUT"] {
        let rule = [
            "-w",
            "5",
            "-C",
            chain,
            "-s",
            "10.201.0.0/16",
            "-d",
            "169.254.169.254/32",
            "-j",
            "REJECT",
        ];
        let checked = Command::new("iptables").args(rule).output().unwrap();
        assert!(
            checked.status.success(),
            "{chain}: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
}

#[tokio::test]
async fn an_image_with_a_shell_a_root_user_and_declared_volumes_runs_as_nobody_in_particular() {
    let machine = Machine::new().await;
    let read = |path: &str| std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // As Debian images are: a dynamically linked shell and its libraries, a passwd, USER root.
    let files = [
        ("sh", read("/bin/dash"), 0o755),
        ("id", read("/usr/bin/touch"), 0o755),
        ("libc.so.6", read("/lib/x86_64-linux-gnu/libc.so.6"), 0o755),
        (
            "ld-linux-x86-64.so.2",
            read("/lib64/ld-linux-x86-64.so.2"),
            0o755,
        ),
        (
            "agentopia-echo",
            std::fs::read(support::static_binaries().join("agentopia-echo")).unwrap(),
            0o755,
        ),
        ("passwd", b"root:x:0:0:root:/root:/bin/sh\n".to_vec(), 0o644),
    ];
    let dockerfile = "FROM scratch\nCOPY sh /bin/sh\nCOPY id /bin/touch\nCOPY libc.so.6 /lib/x86_64-linux-gnu/libc.so.6\n\
                      COPY ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2\nCOPY agentopia-echo /usr/bin/agentopia-echo\nCOPY passwd /etc/passwd\n\
                      USER root\nVOLUME /cache\nHEALTHCHECK CMD /bin/false\n\
                      ENTRYPOINT [\"/bin/sh\", \"-c\"]\n";
    let image = machine.image(dockerfile, &files).await;
    let mut spec = support::spec(machine.environment, image);
    let script = "touch /root-is-writable 2>/dev/null && exit 9; touch /tmp/ok /cache/ok $HOME/ok || exit 8; exec agentopia-echo";
    spec.program.args = vec![script.into()];
    machine.start(&spec).await;
    let mut session = machine.session(&spec).await;
    assert_eq!(
        session.call("echo", json!({"text": "in a shell"})).await,
        "in a shell"
    );
    assert_eq!(session.close().await.code, Some(0));
    machine
        .runtime
        .remove(spec.instance_id, false)
        .await
        .unwrap();
    // No anonymous volume of the image's declaration is left either.
    assert_eq!(machine.everything().await, Vec::<String>::new());
}
