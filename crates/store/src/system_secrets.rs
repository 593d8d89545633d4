//! Keys of the installation itself, sealed: the certificate authority's, the sessions'. Whoever
//! starts first makes them; all replicas then use the same.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};

use crate::entity::system_secret::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::store::Store;

const WHAT: &str = "key of the installation";

/// Keys of the installation. See [`Store::system_secrets`].
#[derive(Debug, Clone, Copy)]
pub struct SystemSecrets<'a>(&'a Store);

impl Store {
    /// Keys of the installation itself.
    #[must_use]
    pub fn system_secrets(&self) -> SystemSecrets<'_> {
        SystemSecrets(self)
    }
}

impl SystemSecrets<'_> {
    /// Stores `ciphertext` under `name` unless there is one already; returns the one that holds. Of
    /// any number of callers at the same time one wins, and all get the winner's.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn put_if_absent(
        &self,
        name: &str,
        ciphertext: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        Entity::insert(ActiveModel::from(Model {
            name: name.to_owned(),
            ciphertext,
            created_at: now,
            updated_at: now,
        }))
        .on_conflict_do_nothing()
        .exec_without_returning(&transaction)
        .await?;
        self.0.finish(transaction, &[]).await?;
        let held = self.get(name).await?;
        held.ok_or(StoreError::Stale { what: WHAT })
    }

    /// What is stored under `name`.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = Entity::find_by_id(name.to_owned())
            .one(self.0.read())
            .await?;
        Ok(row.map(|row| row.ciphertext))
    }

    /// Everything, for the rotation of the vault's own key.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = Entity::find()
            .order_by_asc(Column::Name)
            .all(self.0.read())
            .await?;
        let pairs = rows.into_iter().map(|row| (row.name, row.ciphertext));
        Ok(pairs.collect())
    }

    /// Puts `new` in place of `old`.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when something else than `old` is stored by now.
    pub async fn replace(&self, name: &str, old: &[u8], new: Vec<u8>) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let done = Entity::update_many()
            .set(ActiveModel {
                ciphertext: Set(new),
                updated_at: Set(self.0.now()),
                ..ActiveModel::default()
            })
            .filter(Column::Name.eq(name))
            .filter(Column::Ciphertext.eq(old.to_vec()))
            .exec(&transaction)
            .await?;
        if done.rows_affected == 0 {
            return Err(StoreError::Stale { what: WHAT });
        }
        self.0.finish(transaction, &[]).await
    }
}
