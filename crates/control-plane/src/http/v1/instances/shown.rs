//! Records of instances as the API shows them. Where a tool is reached directly is known together
//! with its environment only, which is read for such tools and for no others; logins are read for
//! servers that run elsewhere.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use agentopia_api::instance::Instance;
use agentopia_api::upstream_login::{UpstreamLogin, UpstreamLoginState};
use agentopia_domain::environment::Environment;
use agentopia_domain::instance::InstanceStatus;
use agentopia_domain::{EnvironmentId, InstanceId, instance};
use agentopia_store::UpstreamLogin as StoredLogin;

use crate::http::extract::Call;
use crate::problem::Answer;

/// What is shown along with records.
pub(super) struct Along {
    environments: HashMap<EnvironmentId, Environment>,
    logins: HashMap<InstanceId, StoredLogin>,
}

pub(super) async fn one(call: &Call, instance: instance::Instance) -> Answer<Instance> {
    let along = along(call, std::slice::from_ref(&instance)).await?;
    Ok(show(call, &along, instance))
}

/// What is shown along with `instances`.
pub(super) async fn along(call: &Call, instances: &[instance::Instance]) -> Answer<Along> {
    let elsewhere = instances.iter().any(|it| it.remote.is_some());
    let logins = if elsewhere {
        call.store()
            .upstream_logins()
            .of_account(call.account())
            .await?
    } else {
        Vec::new()
    };
    let by_instance = logins.into_iter().map(|login| (login.instance_id, login));
    Ok(Along {
        environments: environments(call, instances).await?,
        logins: by_instance.collect(),
    })
}

/// The environments of those that are reached directly.
async fn environments(
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

pub(super) fn show(call: &Call, along: &Along, instance: instance::Instance) -> Instance {
    let environment = along.environments.get(&instance.environment_id);
    let login = along.logins.get(&instance.id);
    let login = login.and_then(|login| shown_login(login, instance.status));
    Instance {
        login,
        ..Instance::new(instance, environment, &call.state.config.base_url())
    }
}

/// None where a login was wanted once, and the server does without by now.
fn shown_login(login: &StoredLogin, status: InstanceStatus) -> Option<UpstreamLogin> {
    if login.logged_in_at.is_none() && status == InstanceStatus::Running {
        return None;
    }
    let state = match (&login.sealed, &login.problem) {
        (None, _) => UpstreamLoginState::Needed,
        (Some(_), Some(_)) => UpstreamLoginState::WiderNeeded,
        (Some(_), None) => UpstreamLoginState::LoggedIn,
    };
    Some(UpstreamLogin {
        state,
        problem: login.problem.clone(),
        issuer: login.issuer.clone(),
        client_id: login.client_id.clone(),
        scope: login.scope.clone(),
        wanted_scope: login.wanted_scope.clone(),
        logged_in_at: login.logged_in_at,
        expires_at: login.expires_at,
    })
}
