//! What unit tests of several modules begin with.

use std::collections::BTreeMap;

use agentopia_domain::Ambient;
use agentopia_domain::egress::Egress;
use agentopia_domain::idle::Idle;
use agentopia_domain::instance::{DesiredInstance, Instance, InstanceStatus, RuntimeDetails};
use agentopia_domain::name::Name;
use agentopia_domain::resources::Resources;
use agentopia_domain::versions::Versions;

/// An instance of version 1 that runs, as it is wanted, with nothing set.
pub(crate) fn instance() -> Instance {
    let ambient = Ambient::system();
    Instance {
        id: ambient.new_id(),
        account_id: ambient.new_id(),
        environment_id: ambient.new_id(),
        catalog_entry_id: ambient.new_id(),
        name: Name::parse("t").unwrap(),
        version: "1".to_owned(),
        running_version: Some("1".to_owned()),
        versions: Versions::default(),
        config: serde_json::Map::new(),
        secrets: BTreeMap::new(),
        resources: Resources::default(),
        direct_access: None,
        egress: Egress::Open,
        remote: None,
        idle: Idle::default(),
        last_used_at: None,
        asleep_since: None,
        desired: DesiredInstance::Running,
        generation: 1,
        restart_nonce: 0,
        observed_generation: 1,
        status: InstanceStatus::Running,
        progress: None,
        error_message: None,
        runtime: RuntimeDetails::default(),
        created_at: ambient.now(),
        updated_at: ambient.now(),
    }
}
