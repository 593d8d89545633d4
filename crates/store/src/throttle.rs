//! Counted attempts: what makes guessing passwords slow (SEC-4). The counts are in the database,
//! so that all replicas share them and a restart does not reset them.

use std::time::Duration;

use agentopia_domain::Ambient;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _};

use crate::convert::{micros, span};
use crate::entity::throttle::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::store::Store;

/// Counters of attempts. See [`Store::throttling`].
#[derive(Debug, Clone, Copy)]
pub struct Throttling<'a>(&'a Store);

impl Store {
    /// Counters of attempts.
    #[must_use]
    pub fn throttling(&self) -> Throttling<'_> {
        Throttling(self)
    }
}

/// At most `limit` attempts of `key` in each window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrottleRule {
    /// What is counted, for example `login:email:a@example.org` or `login:ip:192.0.2.7`.
    pub key: String,
    /// How many attempts a window allows.
    pub limit: u32,
    /// How long a window is, from its first attempt.
    pub window: Duration,
}

/// Too many attempts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; try again in {} seconds", .retry_after.as_secs().max(1))]
pub struct Throttled {
    /// When the window ends in which the limit was reached.
    pub retry_after: Duration,
}

impl Throttling<'_> {
    /// Counts one attempt against all `rules`, or refuses it (and counts nothing) when one of them
    /// is at its limit. Call it before the password is checked: of a thousand guesses at the same
    /// moment, no more than the limit get through.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn attempt(
        &self,
        rules: &[ThrottleRule],
    ) -> Result<Result<(), Throttled>, StoreError> {
        let now = now(self.0.ambient());
        let mut rules: Vec<&ThrottleRule> = rules.iter().collect();
        // Everybody locks in the same order, so nobody waits in a circle.
        rules.sort_by(|a, b| a.key.cmp(&b.key));
        let transaction = self.0.begin().await?;
        for rule in rules {
            // Makes sure of the row, then locks it: the count can't change under our feet.
            Entity::insert(ActiveModel::from(Model {
                key: rule.key.clone(),
                attempts: 0,
                window_start: now,
            }))
            .on_conflict_do_nothing()
            .exec_without_returning(&transaction)
            .await?;
            let row = Entity::find_by_id(rule.key.clone())
                .lock_exclusive()
                .one(&transaction)
                .await?
                .ok_or(StoreError::Stale { what: "counter" })?;
            let ends = row.window_start.saturating_add(span(rule.window));
            let (attempts, window_start) = if ends <= now {
                (0, now)
            } else {
                (row.attempts, row.window_start)
            };
            if attempts >= i64::from(rule.limit) {
                transaction.rollback().await?;
                let wait = u64::try_from(ends - now).unwrap_or(0);
                return Ok(Err(Throttled {
                    retry_after: Duration::from_micros(wait),
                }));
            }
            Entity::update_many()
                .set(ActiveModel {
                    attempts: sea_orm::ActiveValue::Set(attempts + 1),
                    window_start: sea_orm::ActiveValue::Set(window_start),
                    ..ActiveModel::default()
                })
                .filter(Column::Key.eq(&rule.key))
                .exec(&transaction)
                .await?;
        }
        self.0.finish(transaction, &[]).await?;
        Ok(Ok(()))
    }

    /// Forgets what was counted for a key: after a sign-in that succeeded.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn forgive(&self, key: &str) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        Entity::delete_by_id(key.to_owned())
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await
    }

    /// Drops counters whose window began longer ago than `age`; returns how many.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn prune(&self, age: Duration) -> Result<u64, StoreError> {
        let before = now(self.0.ambient()).saturating_sub(span(age));
        let transaction = self.0.begin().await?;
        let deleted = Entity::delete_many()
            .filter(Column::WindowStart.lt(before))
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, &[]).await?;
        Ok(deleted.rows_affected)
    }
}

fn now(ambient: &Ambient) -> i64 {
    micros(ambient.now())
}
