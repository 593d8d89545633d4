//! Forgets a login, and tells the authorization server where that can be told.

use agentopia_domain::event::NewEvent;
use agentopia_domain::{AccountId, InstanceId};
use agentopia_store::{StoreError, UpstreamLogin};

use super::exchange;
use super::sealed::{self, Kept};
use crate::problem::Answer;
use crate::state::AppState;

/// Forgets the tokens of an instance. Telling the authorization server goes on behind: whether it
/// answers changes nothing for us.
///
/// # Errors
/// Not found where nobody is logged in.
pub async fn forget(
    state: &AppState,
    account: AccountId,
    instance: InstanceId,
    events: &[NewEvent],
) -> Answer<()> {
    let login = state
        .store
        .upstream_logins()
        .delete(account, instance, events)
        .await?;
    state.wake.instance(instance);
    state.events.ring();
    give_back(state, login);
    Ok(())
}

/// The same for an instance that is being removed, which may have no login.
///
/// # Errors
/// The store's.
pub async fn with_instance(
    state: &AppState,
    account: AccountId,
    instance: InstanceId,
) -> Answer<()> {
    let logins = state.store.upstream_logins();
    match logins.delete(account, instance, &[]).await {
        Ok(login) => give_back(state, login),
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn give_back(state: &AppState, login: UpstreamLogin) {
    let (vault, client) = (state.vault.clone(), state.remote.clone());
    tokio::spawn(async move {
        let Some(bytes) = &login.sealed else {
            return;
        };
        let whose = (login.account_id, login.instance_id);
        let kept = sealed::open::<Kept>(&*vault, whose, login.sealed_id, bytes).await;
        let done = match kept {
            Ok(kept) => exchange::revoke(&client, &kept).await,
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = done {
            tracing::info!(instance = %login.instance_id, error, "tokens could not be given back");
        }
    });
}
