//! What owners decided for all agents of their accounts (AGT-8).

use std::num::NonZeroU32;

use agentopia_domain::AccountId;
use agentopia_domain::account::AccountSettings;
use agentopia_domain::event::NewEvent;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::convert::{limit, limit_row, time};
use crate::entity::account_setting::{ActiveModel, Column, Entity, Model};
use crate::entity::call;
use crate::error::StoreError;
use crate::store::Store;

/// Settings of accounts. See [`Store::account_settings`].
#[derive(Debug, Clone, Copy)]
pub struct AccountSettingsStore<'a>(&'a Store);

impl Store {
    /// Settings of accounts.
    #[must_use]
    pub fn account_settings(&self) -> AccountSettingsStore<'_> {
        AccountSettingsStore(self)
    }
}

/// What to change; `None` keeps what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountSettingsPatch {
    /// Whether arguments and results are kept from now on. Taking it back drops what was kept.
    pub keep_payloads: Option<bool>,
    /// How many calls may be made in a day; `Some(None)` is as many as anybody likes.
    pub calls_per_day: Option<Option<NonZeroU32>>,
}

impl AccountSettingsStore<'_> {
    /// The account's settings.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn get(&self, account: AccountId) -> Result<AccountSettings, StoreError> {
        let row = Entity::find_by_id(account.as_uuid())
            .one(self.0.read())
            .await?;
        row.map_or_else(|| Ok(AccountSettings::default()), |row| to_settings(&row))
    }

    /// Changes what the patch names.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn update(
        &self,
        account: AccountId,
        patch: AccountSettingsPatch,
        events: &[NewEvent],
    ) -> Result<AccountSettings, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        // Makes sure of the row first: two changes at once don't undo each other.
        Entity::insert(ActiveModel::from(Model {
            account_id: account.as_uuid(),
            keep_payloads: false,
            calls_per_day: None,
            updated_at: now,
        }))
        .on_conflict_do_nothing()
        .exec_without_returning(&transaction)
        .await?;
        let mut change = ActiveModel {
            updated_at: Set(now),
            ..ActiveModel::default()
        };
        if let Some(keep) = patch.keep_payloads {
            change.keep_payloads = Set(keep);
        }
        if let Some(limit) = patch.calls_per_day {
            change.calls_per_day = Set(limit_row(limit));
        }
        let rows = Entity::update_many()
            .set(change)
            .filter(Column::AccountId.eq(account.as_uuid()))
            .exec_with_returning(&transaction)
            .await?;
        let row = rows.first().ok_or(StoreError::Stale { what: "settings" })?;
        if patch.keep_payloads == Some(false) {
            call::Entity::update_many()
                .col_expr(call::Column::Arguments, Expr::value(None::<String>))
                .col_expr(call::Column::Result, Expr::value(None::<String>))
                .filter(call::Column::AccountId.eq(account.as_uuid()))
                .exec(&transaction)
                .await?;
        }
        let settings = to_settings(row)?;
        self.0.finish(transaction, events).await?;
        Ok(settings)
    }
}

pub(crate) fn to_settings(row: &Model) -> Result<AccountSettings, StoreError> {
    Ok(AccountSettings {
        keep_payloads: row.keep_payloads,
        calls_per_day: limit("account_settings.calls_per_day", row.calls_per_day)?,
        updated_at: Some(time("account_settings.updated_at", row.updated_at)?),
    })
}
