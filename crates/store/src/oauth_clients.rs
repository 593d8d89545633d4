//! MCP clients that registered themselves (RFC 7591). Anybody may register, so their number is
//! bounded, and what nobody uses goes.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use crate::convert::{from_json, json, micros, time};
use crate::entity::oauth_client::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::store::Store;

/// MCP clients that registered themselves. See [`Store::oauth_clients`].
#[derive(Debug, Clone, Copy)]
pub struct OauthClients<'a>(&'a Store);

impl Store {
    /// MCP clients that registered themselves.
    #[must_use]
    pub fn oauth_clients(&self) -> OauthClients<'_> {
        OauthClients(self)
    }
}

/// A client that registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOauthClient {
    /// Its id; no secret.
    pub id: Uuid,
    /// What it calls itself.
    pub name: String,
    /// Where codes may be sent to.
    pub redirect_uris: Vec<String>,
    /// When it goes unless it is used.
    pub expires_at: DateTime<Utc>,
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthClient {
    /// Its id; no secret.
    pub id: Uuid,
    /// What it calls itself.
    pub name: String,
    /// Where codes may be sent to.
    pub redirect_uris: Vec<String>,
    /// When it registered.
    pub created_at: DateTime<Utc>,
    /// When it goes unless it is used.
    pub expires_at: DateTime<Utc>,
}

impl OauthClients<'_> {
    /// Adds a client, unless there are `most` already: `None` then. Several at the same moment may
    /// go over by as many.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn register(
        &self,
        new: NewOauthClient,
        most: u64,
    ) -> Result<Option<OauthClient>, StoreError> {
        let now = self.0.now();
        let row = Model {
            id: new.id,
            name: new.name,
            redirect_uris: json("oauth_clients.redirect_uris", &new.redirect_uris)?,
            created_at: now,
            expires_at: micros(new.expires_at),
        };
        let transaction = self.0.begin().await?;
        let there = Entity::find()
            .filter(Column::ExpiresAt.gt(now))
            .count(&transaction)
            .await?;
        if there >= most {
            return Ok(None);
        }
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        to_client(row).map(Some)
    }

    /// The client with this id, if it is not over. Clients belong to no account.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn get_unscoped(&self, id: Uuid) -> Result<Option<OauthClient>, StoreError> {
        let row = Entity::find_by_id(id)
            .filter(Column::ExpiresAt.gt(self.0.now()))
            .one(self.0.read())
            .await?;
        row.map(to_client).transpose()
    }

    /// Keeps a client that was used until `until`. One that is gone stays gone.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn keep_unscoped(&self, id: Uuid, until: DateTime<Utc>) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        Entity::update_many()
            .set(ActiveModel {
                expires_at: Set(micros(until)),
                ..ActiveModel::default()
            })
            .filter(Column::Id.eq(id))
            .filter(Column::ExpiresAt.lt(micros(until)))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await
    }

    /// Drops clients that were over before `before`; returns how many.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn prune(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let transaction = self.0.begin().await?;
        let deleted = Entity::delete_many()
            .filter(Column::ExpiresAt.lt(micros(before)))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(deleted.rows_affected)
    }
}

fn to_client(row: Model) -> Result<OauthClient, StoreError> {
    Ok(OauthClient {
        id: row.id,
        name: row.name,
        redirect_uris: from_json("oauth_clients.redirect_uris", &row.redirect_uris)?,
        created_at: time("oauth_clients.created_at", row.created_at)?,
        expires_at: time("oauth_clients.expires_at", row.expires_at)?,
    })
}
