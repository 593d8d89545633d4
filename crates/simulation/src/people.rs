//! Those who use the product: they write what they want, as the API's handlers do, through some
//! replica that lives, and ring its bell.

use std::collections::BTreeMap;

use agentopia_domain::direct_access::{DirectAccess, Sources};
use agentopia_domain::environment::{DesiredEnvironment, ProviderKind};
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_domain::idle::IdleSetting;
use agentopia_domain::name::Name;
use agentopia_domain::resources::Resources;
use agentopia_domain::user::Role;
use agentopia_domain::{AccountId, EnvironmentId, InstanceId, UserId};
use agentopia_store::{InstanceIntent, NewEnvironment, NewInstance, NewUser, StoreError};
use anyhow::anyhow;

use crate::conductor::Party;
use crate::template::{TOOL, VERSION};
use crate::world::World;

/// From where tools are reached directly.
pub(crate) const NEIGHBOUR: &str = "203.0.113.7";

/// Makes the account with this number.
pub(crate) async fn sign_up(world: &World, number: usize) -> Result<AccountId, StoreError> {
    let new = NewUser {
        id: world.outside.new_id::<UserId>(),
        email: format!("person-{number}@example.org"),
        password_hash: None,
        role: Role::User,
    };
    let user = world
        .store_of(Party::People)
        .users()
        .create(new, &[])
        .await?;
    Ok(AccountId::from(user.id))
}

/// Turns an account's environment on. Like a person who gets an error, it does not insist.
pub(crate) async fn enable(world: &World, account: AccountId) -> Result<(), StoreError> {
    let Some(replica) = world.some_listener() else {
        return Ok(());
    };
    let environments = replica.store.environments();
    let id: EnvironmentId = replica.ambient.new_id();
    let new = NewEnvironment {
        id,
        provider: ProviderKind::Digitalocean,
        region: None,
        size: None,
        image: None,
    };
    let made = environments
        .get_or_create(account, new, &[event(account, id, "environment.enabled")])
        .await?;
    let id = made.value.id;
    let changed = made.changed || {
        let event = event(account, id, "environment.enabled");
        let wanted = DesiredEnvironment::Enabled;
        environments
            .set_desired(account, wanted, &[event])
            .await?
            .changed
    };
    if changed {
        replica.bells.environments.ring(id.as_uuid());
    }
    Ok(())
}

/// Turns an account's environment off, if there is one.
pub(crate) async fn disable(world: &World, account: AccountId) -> Result<(), StoreError> {
    let Some(replica) = world.some_listener() else {
        return Ok(());
    };
    let environments = replica.store.environments();
    let Some(environment) = environments.find(account).await? else {
        return Ok(());
    };
    let id = environment.id;
    let event = event(account, id, "environment.disabled");
    let wanted = DesiredEnvironment::Disabled;
    let done = environments.set_desired(account, wanted, &[event]).await?;
    if done.changed {
        replica.bells.environments.ring(id.as_uuid());
    }
    Ok(())
}

/// Asks for another size, if the environment can change its size now.
pub(crate) async fn scale(world: &World, account: AccountId, size: &str) -> Result<(), StoreError> {
    let Some(replica) = world.some_listener() else {
        return Ok(());
    };
    let environments = replica.store.environments();
    let Some(environment) = environments.find(account).await? else {
        return Ok(());
    };
    let event = event(account, environment.id, "environment.scale_requested");
    let scaled = environments
        .begin_scaling(account, size, None, &[event])
        .await?;
    replica.bells.environments.ring(scaled.id.as_uuid());
    Ok(())
}

/// Deploys a tool, if the account has an environment; `open` if it is to be reached directly.
pub(crate) async fn deploy(world: &World, account: AccountId, open: bool) -> anyhow::Result<()> {
    let Some(replica) = world.some_listener() else {
        return Ok(());
    };
    let store = &replica.store;
    let Some(environment) = store.environments().find(account).await? else {
        return Ok(());
    };
    let entry = store.catalog().by_slug(TOOL).await?;
    let id: InstanceId = replica.ambient.new_id();
    let sources = Sources::parse([NEIGHBOUR]).map_err(|problem| anyhow!("{problem}"))?;
    let direct_access = entry.definition.direct_access.filter(|_| open);
    let direct_access = direct_access.map(|direct| DirectAccess {
        port: direct.port,
        protocols: direct.protocols,
        sources,
    });
    let new = NewInstance {
        id,
        account_id: account,
        environment_id: environment.id,
        catalog_entry_id: entry.id,
        name: Name::parse(id.to_string())?,
        version: VERSION.to_owned(),
        config: serde_json::Map::new(),
        secrets: BTreeMap::new(),
        resources: Resources::default(),
        running: true,
        direct_access,
        egress: Default::default(),
        remote: None,
        idle: IdleSetting::Inherit,
    };
    let object = (ObjectKind::Instance, id.as_uuid());
    let event = NewEvent::system(account, "instance.created", object, "A person wants it.");
    // Whether it fits is not what goes wrong here.
    store
        .instances()
        .create(new, |_, _, _| Ok(()), &[event])
        .await?;
    replica.bells.instances.ring(id.as_uuid());
    Ok(())
}

/// Wants something else of the account's oldest tool, if it has one.
pub(crate) async fn want(
    world: &World,
    account: AccountId,
    intent: InstanceIntent,
) -> Result<(), StoreError> {
    let Some(replica) = world.some_listener() else {
        return Ok(());
    };
    let store = &replica.store;
    let Some(environment) = store.environments().find(account).await? else {
        return Ok(());
    };
    let instances = store.instances();
    let there = instances.on_environment_unscoped(environment.id).await?;
    let Some(oldest) = there.first().map(|report| report.instance.id) else {
        return Ok(());
    };
    let object = (ObjectKind::Instance, oldest.as_uuid());
    let event = NewEvent::system(account, "instance.wanted", object, "A person wants it.");
    instances
        .set_intent(account, oldest, intent, |_, _, _| Ok(()), &[event])
        .await?;
    replica.bells.instances.ring(oldest.as_uuid());
    Ok(())
}

fn event(account: AccountId, environment: EnvironmentId, kind: &'static str) -> NewEvent {
    let object = (ObjectKind::Environment, environment.as_uuid());
    NewEvent::system(account, kind, object, "A person wants it.")
}
