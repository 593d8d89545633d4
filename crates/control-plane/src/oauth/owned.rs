//! Whether an account has what a resource names. What is gone and what is somebody else's look alike.

use agentopia_domain::agent::Agent;
use agentopia_domain::instance::{Instance, InstanceStatus};
use agentopia_domain::oauth::Audience;
use agentopia_domain::{AccountId, AgentId, InstanceId};
use agentopia_store::{Store, StoreError};

/// The account's agent.
///
/// # Errors
/// The store's.
pub async fn agent(
    store: &Store,
    account: AccountId,
    id: AgentId,
) -> Result<Option<Agent>, StoreError> {
    found(store.agents().get(account, id).await)
}

/// The account's instance, unless it is being removed.
///
/// # Errors
/// The store's.
pub async fn instance(
    store: &Store,
    account: AccountId,
    id: InstanceId,
) -> Result<Option<Instance>, StoreError> {
    let instance = found(store.instances().get(account, id).await)?;
    let goes = |instance: &Instance| {
        matches!(
            instance.status,
            InstanceStatus::PendingRemoval | InstanceStatus::Removed
        )
    };
    Ok(instance.filter(|instance| !goes(instance)))
}

/// Whether the account has either.
///
/// # Errors
/// The store's.
pub async fn has(
    store: &Store,
    account: AccountId,
    audience: Audience,
) -> Result<bool, StoreError> {
    Ok(match audience {
        Audience::Agent(id) => agent(store, account, id).await?.is_some(),
        Audience::Instance(id) => instance(store, account, id).await?.is_some(),
    })
}

fn found<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
