//! People who can sign in (SEC-1), and the first admin, of whom there is exactly one.

use agentopia_domain::UserId;
use agentopia_domain::event::NewEvent;
use agentopia_domain::page::{Page, PageRequest};
use agentopia_domain::user::{Role, User};
use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::convert::{fetch_limit, from_word, micros, paged, time, word};
use crate::dialect::{self, Exclusive};
use crate::entity::session;
use crate::entity::user::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_duplicate};
use crate::grants::revoke_all_of;
use crate::store::Store;

/// Users. See [`Store::users`].
#[derive(Debug, Clone, Copy)]
pub struct Users<'a>(&'a Store);

impl Store {
    /// Users. Only admins and the sign-in have business here, so nothing is scoped.
    #[must_use]
    pub fn users(&self) -> Users<'_> {
        Users(self)
    }
}

/// A user to be made.
#[derive(Debug)]
pub struct NewUser {
    /// Their id, and that of their account.
    pub id: UserId,
    /// Stored in lower case.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// argon2id in PHC form; `None` for people who sign in elsewhere.
    pub password_hash: Option<SecretString>,
}

/// A user with what their password is checked against.
#[derive(Debug)]
pub struct UserCredentials {
    /// Who.
    pub user: User,
    /// argon2id in PHC form; `None` for people who sign in elsewhere.
    pub password_hash: Option<SecretString>,
}

impl Users<'_> {
    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] when the e-mail address is taken.
    pub async fn create(&self, new: NewUser, events: &[NewEvent]) -> Result<User, StoreError> {
        let row = self.row(new);
        let transaction = self.0.begin().await?;
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(on_duplicate("user", "email"))?;
        self.0.finish(transaction, events).await?;
        to_user(row)
    }

    /// Adds the first user, an admin, if there is no user at all. Of any number of callers at the
    /// same time one succeeds.
    ///
    /// # Errors
    /// [`StoreError::AlreadySetUp`] for all others.
    pub async fn create_first_admin(
        &self,
        new: NewUser,
        events: &[NewEvent],
    ) -> Result<User, StoreError> {
        let row = self.row(NewUser {
            role: Role::Admin,
            ..new
        });
        let transaction = self.0.begin().await?;
        dialect::hold(&transaction, Exclusive::FirstAdmin).await?;
        if Entity::find().limit(1).one(&transaction).await?.is_some() {
            return Err(StoreError::AlreadySetUp);
        }
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(on_duplicate("user", "email"))?;
        self.0.finish(transaction, events).await?;
        to_user(row)
    }

    /// Whether nobody is there yet: the first-run page is shown then.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(Entity::find().limit(1).one(self.0.read()).await?.is_none())
    }

    /// How many there are.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn count(&self) -> Result<u64, StoreError> {
        Ok(Entity::find().count(self.0.read()).await?)
    }

    /// Who signs in with this address, in any case of its letters.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn credentials_by_email(
        &self,
        email: &str,
    ) -> Result<Option<UserCredentials>, StoreError> {
        let row = Entity::find()
            .filter(Column::Email.eq(email.to_lowercase()))
            .one(self.0.read())
            .await?;
        row.map(to_credentials).transpose()
    }

    /// The same by id, for a change of password.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn credentials(&self, id: UserId) -> Result<Option<UserCredentials>, StoreError> {
        let row = Entity::find_by_id(id.as_uuid()).one(self.0.read()).await?;
        row.map(to_credentials).transpose()
    }

    /// One user.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, id: UserId) -> Result<User, StoreError> {
        let row = Entity::find_by_id(id.as_uuid()).one(self.0.read()).await?;
        to_user(row.ok_or(StoreError::not_found("user"))?)
    }

    /// Everybody.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(&self, page: PageRequest) -> Result<Page<User>, StoreError> {
        let mut query = Entity::find().order_by_asc(Column::Id);
        if let Some(after) = page.after {
            query = query.filter(Column::Id.gt(after));
        }
        let rows = query.limit(fetch_limit(page)).all(self.0.read()).await?;
        paged(rows, page, |row| row.id, to_user)
    }

    /// Sets a new password and ends all that the old one opened: sessions, and what MCP clients were
    /// allowed in them, with their tokens. `seen` is when the record last changed, as it was when the old
    /// password was checked: of two who change it at once, one does.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and [`StoreError::Stale`] when the record is not as it was seen.
    pub async fn set_password(
        &self,
        id: UserId,
        seen: DateTime<Utc>,
        password_hash: &SecretString,
        events: &[NewEvent],
    ) -> Result<User, StoreError> {
        let change = ActiveModel {
            password_hash: Set(Some(password_hash.expose_secret().to_owned())),
            ..ActiveModel::default()
        };
        self.update(id, Some(seen), change, true, events).await
    }

    /// Sets what the user may do.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_role(
        &self,
        id: UserId,
        role: Role,
        events: &[NewEvent],
    ) -> Result<User, StoreError> {
        let change = ActiveModel {
            role: Set(word(&role)),
            ..ActiveModel::default()
        };
        self.update(id, None, change, false, events).await
    }

    /// Shuts the user out, which ends all of their sessions and grants, or lets them in again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_disabled(
        &self,
        id: UserId,
        disabled: bool,
        events: &[NewEvent],
    ) -> Result<User, StoreError> {
        let change = ActiveModel {
            disabled: Set(disabled),
            ..ActiveModel::default()
        };
        self.update(id, None, change, disabled, events).await
    }

    async fn update(
        &self,
        id: UserId,
        seen: Option<DateTime<Utc>>,
        change: ActiveModel,
        end_logins: bool,
        events: &[NewEvent],
    ) -> Result<User, StoreError> {
        let now = self.0.now();
        let transaction = self.0.begin().await?;
        if let Some(seen) = seen {
            hold_unchanged(&transaction, id, seen).await?;
        }
        let rows = Entity::update_many()
            .set(ActiveModel {
                updated_at: Set(now),
                ..change
            })
            .filter(Column::Id.eq(id.as_uuid()))
            .exec_with_returning(&transaction)
            .await?;
        let row = rows
            .into_iter()
            .next()
            .ok_or(StoreError::not_found("user"))?;
        if end_logins {
            revoke_all_of(&transaction, id, now).await?;
            session::Entity::update_many()
                .set(session::ActiveModel {
                    revoked_at: Set(Some(now)),
                    ..session::ActiveModel::default()
                })
                .filter(session::Column::UserId.eq(id.as_uuid()))
                .filter(session::Column::RevokedAt.is_null())
                .exec(&transaction)
                .await?;
        }
        self.0.finish(transaction, events).await?;
        to_user(row)
    }

    fn row(&self, new: NewUser) -> Model {
        let now = self.0.now();
        Model {
            id: new.id.as_uuid(),
            email: new.email.to_lowercase(),
            password_hash: new
                .password_hash
                .map(|hash| hash.expose_secret().to_owned()),
            role: word(&new.role),
            disabled: false,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Holds the user's record until the transaction ends, if it is what it was when they were let in: whoever
/// changes it meanwhile (a new password ends what the old one opened) waits for this transaction, and
/// sees what it wrote.
///
/// # Errors
/// [`StoreError::Stale`] where it is not, or they are shut out by now; [`StoreError::NotFound`].
pub(crate) async fn hold_unchanged(
    transaction: &crate::seam::Transaction,
    id: UserId,
    seen: DateTime<Utc>,
) -> Result<(), StoreError> {
    let found = Entity::find_by_id(id.as_uuid())
        .lock(dialect::ROW)
        .one(transaction)
        .await?
        .ok_or(StoreError::not_found("user"))?;
    if found.disabled || found.updated_at != micros(seen) {
        return Err(StoreError::Stale { what: "user" });
    }
    Ok(())
}

fn to_credentials(mut row: Model) -> Result<UserCredentials, StoreError> {
    let password_hash = row.password_hash.take().map(SecretString::from);
    Ok(UserCredentials {
        user: to_user(row)?,
        password_hash,
    })
}

pub(crate) fn to_user(row: Model) -> Result<User, StoreError> {
    Ok(User {
        id: row.id.into(),
        email: row.email,
        role: from_word("users.role", &row.role)?,
        disabled: row.disabled,
        created_at: time("users.created_at", row.created_at)?,
        updated_at: time("users.updated_at", row.updated_at)?,
    })
}
