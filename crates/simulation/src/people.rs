//! Those who use the product: they write what they want, as the API's handlers do, through some
//! replica that lives, and ring its bell.

use agentopia_domain::environment::{DesiredEnvironment, ProviderKind};
use agentopia_domain::event::{NewEvent, ObjectKind};
use agentopia_domain::user::Role;
use agentopia_domain::{AccountId, EnvironmentId, UserId};
use agentopia_store::{NewEnvironment, NewUser, StoreError};

use crate::conductor::Party;
use crate::world::World;

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

fn event(account: AccountId, environment: EnvironmentId, kind: &'static str) -> NewEvent {
    let object = (ObjectKind::Environment, environment.as_uuid());
    NewEvent::system(account, kind, object, "A person wants it.")
}
