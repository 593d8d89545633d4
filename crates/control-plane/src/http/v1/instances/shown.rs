//! Records of instances as the API shows them. Where a tool is reached directly is known together
//! with its environment only, which is read for such tools and for no others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

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
        if let Entry::Vacant(place) = found.entry(instance.environment_id) {
            let environments = call.store().environments();
            let (account, id) = (instance.account_id, *place.key());
            place.insert(environments.get(account, id).await?);
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
