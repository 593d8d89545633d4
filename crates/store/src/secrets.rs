//! Values in the vault (SEC-3), as ciphertext: what opens them is not the store's business.
//!
//! A ciphertext is bound to its account, id and revision, so a new value is sealed for revision
//! `n + 1` and stored only if the revision is still `n`.

use agentopia_domain::event::NewEvent;
use agentopia_domain::name::Name;
use agentopia_domain::page::{Page, PageRequest};
use agentopia_domain::secret::SecretRecord;
use agentopia_domain::{AccountId, InstanceId, SecretId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::convert::{fetch_limit, name, paged, time};
use crate::entity::instance_secret as mapping;
use crate::entity::secret::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_duplicate};
use crate::instances::start_afresh;
use crate::links::carriers_of;
use crate::store::Store;

const WHAT: &str = "secret";

/// Secrets. See [`Store::secrets`].
#[derive(Debug, Clone, Copy)]
pub struct Secrets<'a>(&'a Store);

impl Store {
    /// Values in the vault.
    #[must_use]
    pub fn secrets(&self) -> Secrets<'_> {
        Secrets(self)
    }
}

/// A secret to be stored, sealed for revision 1.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// Its id.
    pub id: SecretId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Unique in the account.
    pub name: Name,
    /// The sealed value.
    pub ciphertext: Vec<u8>,
}

/// A secret with its sealed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// The record; its revision is the one that the value is sealed for.
    pub record: SecretRecord,
    /// The sealed value.
    pub ciphertext: Vec<u8>,
}

impl Secrets<'_> {
    /// Stores a secret.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for a name that is taken.
    pub async fn create(
        &self,
        new: NewSecret,
        events: &[NewEvent],
    ) -> Result<SecretRecord, StoreError> {
        let now = self.0.now();
        let row = Model {
            id: new.id.as_uuid(),
            account_id: new.account_id.as_uuid(),
            name: new.name.as_str().to_owned(),
            revision: 1,
            ciphertext: new.ciphertext,
            created_at: now,
            updated_at: now,
        };
        let transaction = self.0.begin().await?;
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(on_duplicate(WHAT, "name"))?;
        self.0.finish(transaction, events).await?;
        to_record(row)
    }

    /// Puts a value, sealed for revision `expected_revision + 1`, in place of the one before, and
    /// has the instances that use it and run start afresh; all that use it are returned too. Links that
    /// carry it have other credentials from then on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Stale`] when the revision is another by now.
    pub async fn set_value(
        &self,
        account: AccountId,
        id: SecretId,
        expected_revision: i64,
        ciphertext: Vec<u8>,
        events: &[NewEvent],
    ) -> Result<(SecretRecord, Vec<InstanceId>), StoreError> {
        let transaction = self.0.begin().await?;
        let change = ActiveModel {
            revision: Set(expected_revision + 1),
            ciphertext: Set(ciphertext),
            updated_at: Set(self.0.now()),
            ..ActiveModel::default()
        };
        let row = replace(&transaction, Some(account), id, expected_revision, change).await?;
        let used_by = users_of(&transaction, id).await?;
        for instance in &used_by {
            start_afresh(&transaction, *instance, self.0.now()).await?;
        }
        self.0.finish(transaction, events).await?;
        Ok((to_record(row)?, used_by))
    }

    /// For the rotation of the vault's own key: puts the same value, wrapped anew, in place of the
    /// one before. The revision stays, and nobody restarts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Stale`] when the revision is another by now.
    pub async fn rewrap_unscoped(
        &self,
        id: SecretId,
        revision: i64,
        ciphertext: Vec<u8>,
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        let change = ActiveModel {
            ciphertext: Set(ciphertext),
            ..ActiveModel::default()
        };
        replace(&transaction, None, id, revision, change).await?;
        self.0.finish(transaction, &[]).await
    }

    /// For the rotation of the vault's own key: everybody's secrets.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list_sealed_unscoped(
        &self,
        page: PageRequest,
    ) -> Result<Page<SealedSecret>, StoreError> {
        let mut query = Entity::find().order_by_asc(Column::Id);
        if let Some(after) = page.after {
            query = query.filter(Column::Id.gt(after));
        }
        let rows = query.limit(fetch_limit(page)).all(self.0.read()).await?;
        paged(rows, page, |row| row.id, to_sealed)
    }

    /// One of the account's secrets, without its value.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, account: AccountId, id: SecretId) -> Result<SecretRecord, StoreError> {
        let row = Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .one(self.0.read())
            .await?;
        to_record(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// The same by name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn by_name(
        &self,
        account: AccountId,
        name: &Name,
    ) -> Result<SecretRecord, StoreError> {
        let row = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .filter(Column::Name.eq(name.as_str()))
            .one(self.0.read())
            .await?;
        to_record(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// The account's secrets, without their values, in the order they were made.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        account: AccountId,
        page: PageRequest,
    ) -> Result<Page<SecretRecord>, StoreError> {
        let mut query = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .order_by_asc(Column::Id);
        if let Some(after) = page.after {
            query = query.filter(Column::Id.gt(after));
        }
        let rows = query.limit(fetch_limit(page)).all(self.0.read()).await?;
        paged(rows, page, |row| row.id, to_record)
    }

    /// Those of `ids` that are the account's, with their sealed values, in no order.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn sealed(
        &self,
        account: AccountId,
        ids: &[SecretId],
    ) -> Result<Vec<SealedSecret>, StoreError> {
        let rows = Entity::find()
            .filter(Column::AccountId.eq(account.as_uuid()))
            .filter(Column::Id.is_in(ids.iter().map(|id| id.as_uuid())))
            .all(self.0.read())
            .await?;
        rows.into_iter().map(to_sealed).collect()
    }

    /// The instances that use a secret.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn used_by(
        &self,
        account: AccountId,
        id: SecretId,
    ) -> Result<Vec<InstanceId>, StoreError> {
        self.get(account, id).await?;
        users_of(self.0.read(), id).await
    }

    /// Takes a secret away that no instance and no link uses.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::SecretInUse`].
    pub async fn delete(
        &self,
        account: AccountId,
        id: SecretId,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        // Locked: nobody can begin to use it between the look and the end.
        Entity::find_by_id(id.as_uuid())
            .filter(Column::AccountId.eq(account.as_uuid()))
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(StoreError::not_found(WHAT))?;
        let by = users_of(&transaction, id).await?;
        let links = carriers_of(&transaction, id).await?;
        if !by.is_empty() || !links.is_empty() {
            return Err(StoreError::SecretInUse { by, links });
        }
        Entity::delete_by_id(id.as_uuid())
            .exec(&transaction)
            .await?;
        self.0.finish(transaction, events).await
    }
}

async fn replace(
    connection: &impl ConnectionTrait,
    account: Option<AccountId>,
    id: SecretId,
    revision: i64,
    change: ActiveModel,
) -> Result<Model, StoreError> {
    let mut update = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(id.as_uuid()))
        .filter(Column::Revision.eq(revision));
    let mut exists = Entity::find_by_id(id.as_uuid());
    if let Some(account) = account {
        update = update.filter(Column::AccountId.eq(account.as_uuid()));
        exists = exists.filter(Column::AccountId.eq(account.as_uuid()));
    }
    let rows = update.exec_with_returning(connection).await?;
    match rows.into_iter().next() {
        Some(row) => Ok(row),
        None if exists.one(connection).await?.is_some() => Err(StoreError::Stale { what: WHAT }),
        None => Err(StoreError::not_found(WHAT)),
    }
}

/// In the order of their ids, which is the order in which everybody locks instances.
async fn users_of(
    connection: &impl ConnectionTrait,
    id: SecretId,
) -> Result<Vec<InstanceId>, StoreError> {
    let ids: Vec<Uuid> = mapping::Entity::find()
        .select_only()
        .column(mapping::Column::InstanceId)
        .distinct()
        .filter(mapping::Column::SecretId.eq(id.as_uuid()))
        .order_by_asc(mapping::Column::InstanceId)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(ids.into_iter().map(InstanceId::from).collect())
}

fn to_sealed(mut row: Model) -> Result<SealedSecret, StoreError> {
    let ciphertext = std::mem::take(&mut row.ciphertext);
    Ok(SealedSecret {
        record: to_record(row)?,
        ciphertext,
    })
}

fn to_record(row: Model) -> Result<SecretRecord, StoreError> {
    Ok(SecretRecord {
        id: row.id.into(),
        account_id: row.account_id.into(),
        name: name("secrets.name", row.name)?,
        revision: row.revision,
        created_at: time("secrets.created_at", row.created_at)?,
        updated_at: time("secrets.updated_at", row.updated_at)?,
    })
}
