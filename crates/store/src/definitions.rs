//! What the tools of instances say of themselves: as it was accepted, and as it was last listed (TOOL-10).

use agentopia_domain::definitions::{Definitions, Diff, Hashes, hashes};
use agentopia_domain::event::NewEvent;
use agentopia_domain::{AccountId, InstanceId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};

use crate::convert::{from_json, json};
use crate::entity::tool_definition::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::seam::Transaction;
use crate::store::Store;

const ACCEPTED: &str = "tool_definitions.accepted";
const LISTED: &str = "tool_definitions.listed";

/// Definitions of tools. See [`Store::definitions`].
#[derive(Debug, Clone, Copy)]
pub struct DefinitionsStore<'a>(&'a Store);

impl Store {
    /// Definitions of tools.
    #[must_use]
    pub fn definitions(&self) -> DefinitionsStore<'_> {
        DefinitionsStore(self)
    }
}

/// What is known of the tools of one instance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KnownDefinitions {
    /// Whether what is not accepted is held back from agents.
    pub hold: bool,
    /// What was accepted; the first that was listed, until somebody accepts another.
    pub accepted: Definitions,
    /// What was listed last, where that is something else.
    pub listed: Option<Definitions>,
}

impl KnownDefinitions {
    /// What waits to be accepted.
    #[must_use]
    pub fn diff(&self) -> Diff {
        match &self.listed {
            Some(listed) => Diff::between(&self.accepted, listed),
            None => Diff::default(),
        }
    }
}

/// The same as hashes, for the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedTools {
    /// Which instance.
    pub instance_id: InstanceId,
    /// Whether what is not accepted is held back from agents.
    pub hold: bool,
    /// What was accepted.
    pub accepted: Hashes,
    /// What was listed last, where that is something else.
    pub listed: Option<Hashes>,
}

impl DefinitionsStore<'_> {
    /// What is known of the tools of one of the account's instances; nothing until it listed them.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn get(
        &self,
        account: AccountId,
        instance: InstanceId,
    ) -> Result<Option<KnownDefinitions>, StoreError> {
        let row = Entity::find_by_id(instance.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        row.as_ref().map(to_known).transpose()
    }

    /// For the gateway: writes down what an instance lists. The first list counts as accepted. `told` makes the
    /// event of a list that differs both from what was accepted and from the one before.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn record_unscoped(
        &self,
        account: AccountId,
        instance: InstanceId,
        listed: Definitions,
        told: impl FnOnce(&Diff) -> NewEvent + Send,
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let now = self.0.now();
        let text = json(LISTED, &listed)?;
        let hash_text = json(LISTED, &hashes(&listed))?;
        Entity::insert(ActiveModel::from(Model {
            instance_id: instance.as_uuid(),
            account_id: account.as_uuid(),
            hold: false,
            accepted: text.clone(),
            accepted_hashes: hash_text.clone(),
            listed: None,
            listed_hashes: None,
            updated_at: now,
        }))
        .on_conflict_do_nothing()
        .exec_without_returning(&transaction)
        .await?;
        let known = locked(&transaction, instance).await?;
        let (listed_text, listed_hashes) = match known.accepted_hashes == hash_text {
            true => (None, None),
            false => (Some(text), Some(hash_text)),
        };
        if known.listed_hashes == listed_hashes {
            // The first list is written down all the same.
            return self.0.finish(transaction, &[]).await;
        }
        let mut events = Vec::new();
        if listed_text.is_some() {
            let accepted = from_json(ACCEPTED, &known.accepted)?;
            events.push(told(&Diff::between(&accepted, &listed)));
        }
        let change = ActiveModel {
            listed: Set(listed_text),
            listed_hashes: Set(listed_hashes),
            updated_at: Set(now),
            ..ActiveModel::default()
        };
        Entity::update_many()
            .set(change)
            .filter(Column::InstanceId.eq(instance.as_uuid()))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &events).await
    }

    /// What was listed last counts as accepted from now on. What it differed in.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when nothing was listed yet.
    pub async fn accept(
        &self,
        account: AccountId,
        instance: InstanceId,
        told: impl FnOnce(&Diff) -> NewEvent + Send,
    ) -> Result<Diff, StoreError> {
        let transaction = self.0.begin().await?;
        let known = locked(&transaction, instance).await?;
        if known.account_id != account.as_uuid() {
            return Err(StoreError::not_found("list of tools"));
        }
        let diff = to_known(&known)?.diff();
        let (Some(listed), Some(listed_hashes)) = (known.listed, known.listed_hashes) else {
            return Ok(diff);
        };
        let change = ActiveModel {
            accepted: Set(listed),
            accepted_hashes: Set(listed_hashes),
            listed: Set(None),
            listed_hashes: Set(None),
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        Entity::update_many()
            .set(change)
            .filter(Column::InstanceId.eq(instance.as_uuid()))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[told(&diff)]).await?;
        Ok(diff)
    }

    /// Whether what is not accepted is held back from agents from now on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when nothing was listed yet.
    pub async fn set_hold(
        &self,
        account: AccountId,
        instance: InstanceId,
        hold: bool,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .set(ActiveModel {
                hold: Set(hold),
                updated_at: Set(self.0.now()),
                ..ActiveModel::default()
            })
            .filter(Column::InstanceId.eq(instance.as_uuid()))
            .filter(Column::AccountId.eq(account.as_uuid()))
            .exec(&transaction)
            .await?;
        if done.rows_affected == 0 {
            return Err(StoreError::not_found("list of tools"));
        }
        self.0.finish(transaction, events).await
    }
}

async fn locked(transaction: &Transaction, instance: InstanceId) -> Result<Model, StoreError> {
    let row = Entity::find_by_id(instance.as_uuid())
        .lock_exclusive()
        .one(transaction)
        .await?;
    row.ok_or(StoreError::not_found("list of tools"))
}

fn to_known(row: &Model) -> Result<KnownDefinitions, StoreError> {
    Ok(KnownDefinitions {
        hold: row.hold,
        accepted: from_json(ACCEPTED, &row.accepted)?,
        listed: (row.listed.as_ref())
            .map(|text| from_json(LISTED, text))
            .transpose()?,
    })
}

/// The hashes alone, of all instances: definitions may be large, and nobody needs them to compare.
pub(crate) async fn pinned(transaction: &Transaction) -> Result<Vec<PinnedTools>, StoreError> {
    let rows: Vec<(uuid::Uuid, bool, String, Option<String>)> = Entity::find()
        .select_only()
        .columns([
            Column::InstanceId,
            Column::Hold,
            Column::AcceptedHashes,
            Column::ListedHashes,
        ])
        .into_tuple()
        .all(transaction)
        .await?;
    rows.into_iter()
        .map(|(id, hold, accepted, listed)| {
            Ok(PinnedTools {
                instance_id: id.into(),
                hold,
                accepted: from_json(ACCEPTED, &accepted)?,
                listed: listed.map(|text| from_json(LISTED, &text)).transpose()?,
            })
        })
        .collect()
}
