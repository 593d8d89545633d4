//! Records of instances as the API shows them. Where a tool is reached directly is known together
//! with its environment only, which is read for such tools and for no others.

use std::collections::HashMap;

use agentopia_api::instance::Instance;
use agentopia_domain::environment::Environment;
use agentopia_domain::{EnvironmentId, instance};

use crate::http::extract::Call;
use crate::problem::Answer;

pub(super) async fn one(call: &Call, instance: instance::Instance) -> Answer<Instance> {
    let environments = environments(call, std::slice::from_ref(&instance)).await?;
    Ok(show(call, &environments, instance))
}

/// The environments of those that are reached directly.
pub(super) async fn environments(
    call: &Call,
    instances: &[instance::Instance],
) -> Answer<HashMap<EnvironmentId, Environment>> {
    let mut found = HashMap::new();
    for instance in instances.iter().filter(|it| it.direct_access.is_some()) {
        let id = instance.environment_id;
        if !found.contains_key(&id) {
            let environments = call.store().environments();
            let environment = environments.get(instance.account_id, id).await?;
            found.insert(id, environment);
        }
    }
    Ok(found)
}

pub(super) fn show(
    call: &Call,
    environments: &HashMap<EnvironmentId, Environment>,
    instance: instance::Instance,
) -> Instance {
    let environment = environments.get(&instance.environment_id);
    Instance::new(instance, environment, &call.state.config.base_url())
}
