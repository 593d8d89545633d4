//! Everything the gateway's route table is built from, read as of one moment.

use agentopia_domain::AccountId;
use agentopia_domain::account::{AccountSettings, CallCount};
use agentopia_domain::agent::Agent;
use agentopia_domain::environment::Environment;
use agentopia_domain::instance::{Instance, InstanceStatus};
use agentopia_domain::link::Link;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use std::collections::HashSet;
use uuid::Uuid;

use crate::account_settings::to_settings;
use crate::agents::to_agent;
use crate::api_tokens::{StoredToken, to_stored};
use crate::call_counts;
use crate::convert::word;
use crate::definitions::{self, PinnedTools};
use crate::entity::{account_setting, agent, api_token, environment, event, instance, link, user};
use crate::environments::to_environment;
use crate::error::StoreError;
use crate::grants::{LoginToken, login_tokens};
use crate::instances::to_instances;
use crate::links::{carried, to_link};
use crate::store::Store;

/// The gateway's view of the store at one moment. Disabled users have neither agents, tokens nor
/// links in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GatewaySnapshot {
    /// The sequence of the last event that is part of it: whoever hears of a later one builds the
    /// table anew.
    pub sequence: i64,
    /// All agents.
    pub agents: Vec<Agent>,
    /// All tokens, personal and of agents, that were not revoked; they may expire meanwhile.
    pub tokens: Vec<StoredToken>,
    /// The access tokens of browser logins to agents' endpoints; some are over.
    pub logins: Vec<LoginToken>,
    /// All links that are enabled, of these agents to these instances.
    pub links: Vec<Link>,
    /// All instances that are neither removed nor being removed.
    pub instances: Vec<Instance>,
    /// All environments; address and port say where an instance is reached.
    pub environments: Vec<Environment>,
    /// What owners decided for their accounts, where they did.
    pub settings: Vec<(AccountId, AccountSettings)>,
    /// How many calls were made today (UTC).
    pub calls_today: Vec<CallCount>,
    /// What instances may say of their tools.
    pub pinned: Vec<PinnedTools>,
}

impl Store {
    /// Reads what the gateway's route table is built from, in one consistent read.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn gateway_snapshot(&self) -> Result<GatewaySnapshot, StoreError> {
        let transaction = self.snapshot().await?;
        let last = event::Entity::find()
            .order_by_desc(event::Column::Sequence)
            .one(&transaction)
            .await?;
        let disabled: HashSet<Uuid> = user::Entity::find()
            .filter(user::Column::Disabled.eq(true))
            .all(&transaction)
            .await?
            .into_iter()
            .map(|user| user.id)
            .collect();
        let agents = agent::Entity::find()
            .order_by_asc(agent::Column::Id)
            .all(&transaction)
            .await?;
        let tokens = api_token::Entity::find()
            .filter(api_token::Column::RevokedAt.is_null())
            .order_by_asc(api_token::Column::Id)
            .all(&transaction)
            .await?;
        let logins = login_tokens(&transaction, self.now(), |grant| {
            disabled.contains(&grant.account_id) || disabled.contains(&grant.user_id)
        })
        .await?;
        let links = link::Entity::find()
            .filter(link::Column::Enabled.eq(true))
            .order_by_asc(link::Column::Id)
            .all(&transaction)
            .await?;
        let instances = instance::Entity::find()
            .filter(instance::Column::Status.is_not_in([
                word(&InstanceStatus::PendingRemoval),
                word(&InstanceStatus::Removed),
            ]))
            .order_by_asc(instance::Column::Id)
            .all(&transaction)
            .await?;
        let environments = environment::Entity::find()
            .order_by_asc(environment::Column::Id)
            .all(&transaction)
            .await?;
        let settings = account_setting::Entity::find().all(&transaction).await?;
        let today = self.ambient().now().date_naive();
        let calls_today = call_counts::of_day(&transaction, today).await?;
        let pinned = definitions::pinned(&transaction).await?;
        let instances = to_instances(&transaction, instances).await?;
        let link_ids: Vec<Uuid> = links.iter().map(|link| link.id).collect();
        let mut carried = carried(&transaction, &link_ids).await?;
        transaction.commit(&[]).await?;

        let known: HashSet<Uuid> = instances.iter().map(|one| one.id.as_uuid()).collect();
        Ok(GatewaySnapshot {
            sequence: last.map_or(0, |event| event.sequence),
            agents: agents
                .into_iter()
                .filter(|agent| !disabled.contains(&agent.account_id))
                .map(to_agent)
                .collect::<Result<_, _>>()?,
            tokens: tokens
                .into_iter()
                .filter(|token| {
                    !disabled.contains(&token.account_id) && !disabled.contains(&token.user_id)
                })
                .map(to_stored)
                .collect::<Result<_, _>>()?,
            logins,
            links: links
                .into_iter()
                .filter(|link| {
                    !disabled.contains(&link.account_id) && known.contains(&link.instance_id)
                })
                .map(|link| {
                    let secrets = carried.remove(&link.id).unwrap_or_default();
                    to_link(link, secrets)
                })
                .collect::<Result<_, _>>()?,
            instances,
            environments: environments
                .into_iter()
                .map(to_environment)
                .collect::<Result<_, _>>()?,
            settings: settings
                .iter()
                .map(|row| Ok((row.account_id.into(), to_settings(row)?)))
                .collect::<Result<_, StoreError>>()?,
            calls_today,
            pinned,
        })
    }
}
