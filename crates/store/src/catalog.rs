//! Blueprints of tools (TOOL-1). They belong to the installation, not to an account.

use agentopia_domain::CatalogEntryId;
use agentopia_domain::catalog::{CatalogDefinition, CatalogEntry, CatalogStatus};
use agentopia_domain::event::NewEvent;
use agentopia_domain::page::{Page, PageRequest};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait as _, LikeExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use crate::convert::{fetch_limit, from_json, json, paged, time, word};
use crate::entity::catalog_entry::{ActiveModel, Column, Entity, Model};
use crate::error::{StoreError, on_duplicate};
use crate::events::escape_like;
use crate::store::{Changed, Store};

const WHAT: &str = "catalog entry";

/// The catalog. See [`Store::catalog`].
#[derive(Debug, Clone, Copy)]
pub struct Catalog<'a>(&'a Store);

impl Store {
    /// Blueprints of tools.
    #[must_use]
    pub fn catalog(&self) -> Catalog<'_> {
        Catalog(self)
    }
}

/// Which entries are asked for; the default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogFilter {
    /// Only with one of these; empty means any.
    pub statuses: Vec<CatalogStatus>,
    /// Only in this category, in any case of its letters.
    pub category: Option<String>,
    /// Only with this in slug, name, registry name, description, developer or categories, in any case.
    pub search: Option<String>,
    /// Only what was added or changed at this time or later.
    pub updated_since: Option<DateTime<Utc>>,
}

impl Catalog<'_> {
    /// Adds an entry.
    ///
    /// # Errors
    /// [`StoreError::Duplicate`] for a slug that is taken.
    pub async fn insert(
        &self,
        id: CatalogEntryId,
        definition: &CatalogDefinition,
        events: &[NewEvent],
    ) -> Result<CatalogEntry, StoreError> {
        let row = self.row(id, definition)?;
        let transaction = self.0.begin().await?;
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(&transaction)
            .await
            .map_err(on_duplicate(WHAT, "slug"))?;
        self.0.finish(transaction, events).await?;
        to_entry(row)
    }

    /// Adds an entry or puts the definition in place of the one with the same slug, whose id stays.
    /// The same definition again changes nothing.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn upsert(
        &self,
        id: CatalogEntryId,
        definition: &CatalogDefinition,
        events: &[NewEvent],
    ) -> Result<Changed<CatalogEntry>, StoreError> {
        let row = self.row(id, definition)?;
        let transaction = self.0.begin().await?;
        Entity::insert(ActiveModel::from(row.clone()))
            .on_conflict_do_nothing_on([Column::Slug])
            .exec_without_returning(&transaction)
            .await?;
        let found = Entity::find()
            .filter(Column::Slug.eq(&definition.slug))
            .lock_exclusive()
            .one(&transaction)
            .await?
            .ok_or(StoreError::Stale { what: WHAT })?;
        let added = found.id == row.id;
        if !added {
            if found.definition == row.definition {
                return Ok(Changed {
                    value: to_entry(found)?,
                    changed: false,
                });
            }
            Entity::update_many()
                .set(ActiveModel {
                    status: Set(row.status.clone()),
                    search_text: Set(row.search_text.clone()),
                    categories: Set(row.categories.clone()),
                    definition: Set(row.definition.clone()),
                    idle_seconds: Set(row.idle_seconds),
                    updated_at: Set(row.updated_at),
                    ..ActiveModel::default()
                })
                .filter(Column::Id.eq(found.id))
                .exec(&transaction)
                .await?;
        }
        self.0.finish(transaction, events).await?;
        let value = to_entry(Model {
            id: found.id,
            created_at: found.created_at,
            ..row
        })?;
        Ok(Changed {
            value,
            changed: true,
        })
    }

    /// One entry.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn get(&self, id: CatalogEntryId) -> Result<CatalogEntry, StoreError> {
        let row = Entity::find_by_id(id.as_uuid()).one(self.0.read()).await?;
        to_entry(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// One entry by what the CLI calls it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn by_slug(&self, slug: &str) -> Result<CatalogEntry, StoreError> {
        let row = Entity::find()
            .filter(Column::Slug.eq(slug))
            .one(self.0.read())
            .await?;
        to_entry(row.ok_or(StoreError::not_found(WHAT))?)
    }

    /// Entries in the order they were added.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        filter: &CatalogFilter,
        page: PageRequest,
    ) -> Result<Page<CatalogEntry>, StoreError> {
        let mut condition = Condition::all();
        if !filter.statuses.is_empty() {
            condition = condition.add(Column::Status.is_in(filter.statuses.iter().map(word)));
        }
        if let Some(category) = &filter.category {
            condition = condition.add(contains(Column::Categories, &category_key(category)));
        }
        if let Some(search) = &filter.search {
            for part in search.to_lowercase().split_whitespace() {
                condition = condition.add(contains(Column::SearchText, part));
            }
        }
        if let Some(since) = filter.updated_since {
            condition = condition.add(Column::UpdatedAt.gte(since.timestamp_micros()));
        }
        if let Some(after) = page.after {
            condition = condition.add(Column::Id.gt(after));
        }
        let rows = Entity::find()
            .filter(condition)
            .order_by_asc(Column::Id)
            .limit(fetch_limit(page))
            .all(self.0.read())
            .await?;
        paged(rows, page, |row| row.id, to_entry)
    }

    fn row(&self, id: CatalogEntryId, definition: &CatalogDefinition) -> Result<Model, StoreError> {
        let now = self.0.now();
        let search_text = [
            definition.slug.as_str(),
            definition.name.as_str(),
            definition.registry_name.as_deref().unwrap_or_default(),
            definition.description.as_str(),
            definition.developer_organisation.as_str(),
            &definition.categories.join(" "),
        ]
        .join("\n")
        .to_lowercase();
        Ok(Model {
            id: id.as_uuid(),
            slug: definition.slug.clone(),
            status: word(&definition.status),
            search_text,
            categories: definition
                .categories
                .iter()
                .map(|category| category_key(category))
                .collect(),
            definition: json("tool_catalog.definition", definition)?,
            idle_seconds: definition.idle_seconds.map(i64::from),
            created_at: now,
            updated_at: now,
        })
    }
}

/// A category between line breaks, so that a search for one does not find another that has it in
/// its name.
fn category_key(category: &str) -> String {
    format!("\n{}\n", category.to_lowercase().replace('\n', " "))
}

fn contains(column: Column, part: &str) -> sea_orm::sea_query::SimpleExpr {
    let pattern = format!("%{}%", escape_like(part));
    Expr::col(column).like(LikeExpr::new(pattern).escape('\\'))
}

fn to_entry(row: Model) -> Result<CatalogEntry, StoreError> {
    Ok(CatalogEntry {
        id: row.id.into(),
        definition: from_json("tool_catalog.definition", &row.definition)?,
        created_at: time("tool_catalog.created_at", row.created_at)?,
        updated_at: time("tool_catalog.updated_at", row.updated_at)?,
    })
}
