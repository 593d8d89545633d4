//! Tools for the tests: shell scripts that answer MCP as much as is needed here, or don't.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use agentopia_domain::Ambient;
use agentopia_domain::catalog::{StdioProcesses, Transport};
use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::resources::Resources;
use agentopia_domain::spec::{ImageRef, InstanceSpec, Program};

use super::Machine;

/// Answers every request with the same result.
pub(crate) const GOOD: &str = r#"
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id": *\("[^"]*"\|[0-9]*\).*/\1/p')
  [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"good","version":"1"}}}\n' "$id"
done
exit 0
"#;

impl Machine {
    /// Makes a tool of a script and a spec that runs it.
    pub(crate) fn tool(&self, name: &str, script: &str) -> InstanceSpec {
        self.script(name, script);
        let ambient = Ambient::system();
        InstanceSpec {
            instance_id: ambient.new_id(),
            environment_id: self.control_plane.environment,
            account_id: ambient.new_id(),
            generation: 1,
            desired: DesiredInstance::Running,
            restart_nonce: 0,
            version: "1.0.0".to_owned(),
            pinned: None,
            drain: false,
            program: Program {
                image: ImageRef {
                    repository: "agentopia/none".to_owned(),
                    tag: Some("1".to_owned()),
                    digest: None,
                },
                args: Vec::new(),
                process: vec![name.to_owned()],
            },
            package: None,
            transport: Transport::Stdio {
                processes: StdioProcesses::PerSession,
            },
            env: BTreeMap::new(),
            secret_names: Vec::new(),
            secrets_revision: 0,
            resources: Resources::default(),
            volume: None,
            direct_access: None,
            egress: Default::default(),
        }
    }

    /// Writes a tool's program.
    pub(crate) fn script(&self, name: &str, script: &str) {
        let path = self.path("tools").join(name);
        let new = self.path("tools").join(format!("{name}.new"));
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, &path).unwrap();
    }
}

/// The next generation of a spec, with a change.
pub(crate) fn next(spec: &InstanceSpec, change: impl FnOnce(&mut InstanceSpec)) -> InstanceSpec {
    let mut spec = spec.clone();
    spec.generation += 1;
    change(&mut spec);
    spec
}
