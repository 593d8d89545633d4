//! Browser sessions: only hashes of their tokens are stored.

use agentopia_domain::event::NewEvent;
use agentopia_domain::token::TokenHash;
use agentopia_domain::user::User;
use agentopia_domain::{SessionId, UserId};
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QueryOrder as _,
};

use crate::convert::{corrupt, micros, time, time_opt};
use crate::entity::session::{ActiveModel, Column, Entity, Model};
use crate::entity::user;
use crate::error::StoreError;
use crate::store::Store;
use crate::users::{hold_unchanged, to_user};

/// A session is touched at most this often, in microseconds.
const TOUCH_INTERVAL: i64 = 60_000_000;

/// Browser sessions. See [`Store::sessions`].
#[derive(Debug, Clone, Copy)]
pub struct Sessions<'a>(&'a Store);

impl Store {
    /// Browser sessions.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions(self)
    }
}

/// A session to be made.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Who signed in.
    pub user_id: UserId,
    /// When the record of that user last changed, as it was when their password was checked.
    pub user_updated_at: DateTime<Utc>,
    /// The hash of the cookie.
    pub token_hash: TokenHash,
    /// The hash of the value that changing requests must carry.
    pub csrf_hash: TokenHash,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// From where.
    pub source_ip: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
}

/// The record of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Who signed in.
    pub user_id: UserId,
    /// The hash of the value that changing requests must carry.
    pub csrf_hash: TokenHash,
    /// From where.
    pub source_ip: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it was ended.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Sessions<'_> {
    /// Adds a session.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when the user's password changed since it was checked, or they are shut out.
    pub async fn create(
        &self,
        new: NewSession,
        events: &[NewEvent],
    ) -> Result<Session, StoreError> {
        let now = self.0.now();
        let row = Model {
            id: new.id.as_uuid(),
            user_id: new.user_id.as_uuid(),
            token_hash: new.token_hash.to_hex(),
            csrf_hash: new.csrf_hash.to_hex(),
            source_ip: new.source_ip,
            user_agent: new.user_agent,
            created_at: now,
            expires_at: micros(new.expires_at),
            last_seen_at: now,
            revoked_at: None,
        };
        let transaction = self.0.begin().await?;
        hold_unchanged(&transaction, new.user_id, new.user_updated_at).await?;
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(crate::error::on_missing("user"))?;
        self.0.finish(transaction, events).await?;
        to_session(row)
    }

    /// The session of a cookie and its user, if it opens anything now: neither expired nor ended,
    /// the user not disabled.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn find_valid(
        &self,
        token_hash: TokenHash,
    ) -> Result<Option<(Session, User)>, StoreError> {
        let row = Entity::find()
            .filter(Column::TokenHash.eq(token_hash.to_hex()))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.gt(self.0.now()))
            .one(self.0.read())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let owner = user::Entity::find_by_id(row.user_id)
            .filter(user::Column::Disabled.eq(false))
            .one(self.0.read())
            .await?;
        let Some(owner) = owner else { return Ok(None) };
        Ok(Some((to_session(row)?, to_user(owner)?)))
    }

    /// Notes that the session was used, at most once a minute, and moves its end.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn touch(&self, id: SessionId, expires_at: DateTime<Utc>) -> Result<(), StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        Entity::update_many()
            .set(ActiveModel {
                last_seen_at: Set(now),
                expires_at: Set(micros(expires_at)),
                ..ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::LastSeenAt.lte(now - TOUCH_INTERVAL))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await
    }

    /// A user's sessions that are not over.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let rows = Entity::find()
            .filter(Column::UserId.eq(user.as_uuid()))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.gt(self.0.now()))
            .order_by_asc(Column::Id)
            .all(self.0.read())
            .await?;
        rows.into_iter().map(to_session).collect()
    }

    /// Ends one of the user's sessions.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it was ended before.
    pub async fn revoke(
        &self,
        user: UserId,
        id: SessionId,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .set(ActiveModel {
                revoked_at: Set(Some(self.0.now())),
                ..ActiveModel::default()
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .filter(Column::UserId.eq(user.as_uuid()))
            .filter(Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        if done.rows_affected == 0 {
            return Err(StoreError::not_found("session"));
        }
        self.0.finish(transaction, events).await
    }

    /// Drops sessions that ended before `before`; returns how many.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn prune(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let before = micros(before);
        let transaction = self.0.begin().await?;
        let deleted = Entity::delete_many()
            .filter(
                Column::ExpiresAt
                    .lt(before)
                    .or(Column::RevokedAt.lt(before)),
            )
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(deleted.rows_affected)
    }
}

fn to_session(row: Model) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.id.into(),
        user_id: row.user_id.into(),
        csrf_hash: TokenHash::from_hex(&row.csrf_hash)
            .ok_or_else(|| corrupt("sessions.csrf_hash", "no hash"))?,
        source_ip: row.source_ip,
        user_agent: row.user_agent,
        created_at: time("sessions.created_at", row.created_at)?,
        expires_at: time("sessions.expires_at", row.expires_at)?,
        last_seen_at: time("sessions.last_seen_at", row.last_seen_at)?,
        revoked_at: time_opt("sessions.revoked_at", row.revoked_at)?,
    })
}
