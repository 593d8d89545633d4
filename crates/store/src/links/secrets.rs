//! The secrets of their own that links carry (AGT-6), in a table of their own, so that the database
//! itself keeps a value that is in use.

use std::collections::{BTreeMap, HashMap};

use agentopia_domain::link::LinkSecret;
use agentopia_domain::{AccountId, LinkId, SecretId};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::entity::{link_secret as mapping, secret};
use crate::error::{StoreError, on_missing};
use crate::seam::Transaction;

/// By the link that carries them.
pub(crate) type Carried = HashMap<Uuid, BTreeMap<String, LinkSecret>>;

/// What these links carry, with the revisions that the values have now.
pub(crate) async fn carried(
    connection: &impl ConnectionTrait,
    links: &[Uuid],
) -> Result<Carried, StoreError> {
    let mut rows = Vec::new();
    // Well below the number of bound values that either engine takes (SQLite: 32,766).
    for some in links.chunks(1000) {
        let found = mapping::Entity::find()
            .filter(mapping::Column::LinkId.is_in(some.iter().copied()))
            .all(connection)
            .await?;
        rows.extend(found);
    }
    let mut ids: Vec<Uuid> = rows.iter().map(|row| row.secret_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut revisions: HashMap<Uuid, i64> = HashMap::new();
    for some in ids.chunks(1000) {
        let found: Vec<(Uuid, i64)> = secret::Entity::find()
            .select_only()
            .columns([secret::Column::Id, secret::Column::Revision])
            .filter(secret::Column::Id.is_in(some.iter().copied()))
            .into_tuple()
            .all(connection)
            .await?;
        revisions.extend(found);
    }
    let mut carried = Carried::new();
    for row in rows {
        let secret = LinkSecret {
            id: row.secret_id.into(),
            revision: revisions.get(&row.secret_id).copied().unwrap_or_default(),
        };
        let of_link = carried.entry(row.link_id).or_default();
        of_link.insert(row.name, secret);
    }
    Ok(carried)
}

/// Writes what a link carries, in place of what was there.
pub(super) async fn replace(
    transaction: &Transaction,
    account: AccountId,
    link: LinkId,
    secrets: &BTreeMap<String, SecretId>,
) -> Result<(), StoreError> {
    mapping::Entity::delete_many()
        .filter(mapping::Column::LinkId.eq(link.as_uuid()))
        .exec(transaction)
        .await?;
    for (name, secret) in secrets {
        mapping::Entity::insert(mapping::ActiveModel {
            link_id: Set(link.as_uuid()),
            name: Set(name.clone()),
            account_id: Set(account.as_uuid()),
            secret_id: Set(secret.as_uuid()),
        })
        .exec_without_returning(transaction)
        .await
        .map_err(on_missing("secret"))?;
    }
    Ok(())
}

/// The links that carry a secret, in the order they were made.
pub(crate) async fn carriers_of(
    connection: &impl ConnectionTrait,
    secret: SecretId,
) -> Result<Vec<LinkId>, StoreError> {
    let ids: Vec<Uuid> = mapping::Entity::find()
        .select_only()
        .column(mapping::Column::LinkId)
        .distinct()
        .filter(mapping::Column::SecretId.eq(secret.as_uuid()))
        .order_by_asc(mapping::Column::LinkId)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(ids.into_iter().map(LinkId::from).collect())
}
