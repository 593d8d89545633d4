//! Builders for this crate's unit tests.

use std::collections::BTreeMap;

use agentopia_domain::catalog::{StdioProcesses, Transport};
use agentopia_domain::instance::DesiredInstance;
use agentopia_domain::resources::Resources;
use agentopia_domain::spec::{ImageRef, InstanceSpec, Program};
use agentopia_domain::{Ambient, EnvironmentId};

/// A stdio server that should run: `cat`, which answers everything with itself.
pub(crate) fn spec() -> InstanceSpec {
    spec_in(Ambient::system().new_id())
}

/// The same for a given environment.
pub(crate) fn spec_in(environment_id: EnvironmentId) -> InstanceSpec {
    let ambient = Ambient::system();
    InstanceSpec {
        instance_id: ambient.new_id(),
        environment_id,
        account_id: ambient.new_id(),
        generation: 1,
        desired: DesiredInstance::Running,
        restart_nonce: 0,
        version: "1.0.0".to_owned(),
        pinned: None,
        drain: false,
        program: Program {
            image: ImageRef {
                repository: "127.0.0.1:5000/agentopia/echo".to_owned(),
                tag: Some("1".to_owned()),
                digest: None,
            },
            args: Vec::new(),
            process: vec!["cat".to_owned()],
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
