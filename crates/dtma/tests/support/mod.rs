//! Shared by the integration tests: the real binaries, specs, and a wait for conditions.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test binary uses its own part of this; an expectation would be unfulfilled in some"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use agentopia_domain::catalog::{StdioProcesses, Transport};
use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::resources::Resources;
use agentopia_domain::spec::{ImageRef, InstanceSpec, Program};
use agentopia_domain::{Ambient, EnvironmentId};

/// Directory with static `tool-init` and `agentopia-echo`, built by the project's own script.
pub(crate) fn static_binaries() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        if let Some(directory) = std::env::var_os("AGENTOPIA_STATIC_DIR") {
            return directory.into();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = std::env::var_os("AGENTOPIA_ROOT").map_or(root, PathBuf::from);
        let output = Command::new(root.join("script/build-static"))
            // What cargo tells its tests must not reach the cargo that the script runs.
            .env_remove("RUSTFLAGS")
            .output()
            .expect("script/build-static can't be run");
        assert!(
            output.status.success(),
            "script/build-static failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        PathBuf::from(
            String::from_utf8_lossy(&output.stdout)
                .trim()
                .lines()
                .last()
                .unwrap_or_default(),
        )
    })
}

/// A spec of an image, over stdio.
pub(crate) fn spec(environment_id: EnvironmentId, image: ImageRef) -> InstanceSpec {
    let ambient = Ambient::system();
    InstanceSpec {
        instance_id: ambient.new_id(),
        environment_id,
        account_id: ambient.new_id(),
        generation: 1,
        desired: DesiredInstance::Running,
        restart_nonce: 0,
        version: "1".into(),
        pinned: None,
        drain: false,
        program: Program {
            image,
            args: Vec::new(),
            process: Vec::new(),
        },
        package: None,
        transport: Transport::Stdio {
            processes: StdioProcesses::PerSession,
        },
        env: BTreeMap::new(),
        secret_names: Vec::new(),
        secrets_revision: 0,
        resources: Resources {
            cpu_millis: 500,
            memory_bytes: 64 << 20,
            pids: 32,
            disk_bytes: 0,
        },
        volume: None,
        direct_access: None,
        egress: Default::default(),
    }
}

/// Waits until `condition` gives something; panics with `what` when it takes too long.
pub(crate) async fn wait_for<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waited a minute for {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
