//! The append-only stream: timeline, audit log, and the source of the UI's live view
//! (architecture, decision 7).
//!
//! Live readers ask for everything after the sequence they saw last, so an event must never become
//! visible after one with a higher sequence did. SQLite has one writer at a time and gives that for
//! free. On PostgreSQL two transactions could draw 1 and 2 and commit as 2, 1; therefore whoever
//! appends holds a lock from drawing the sequence to the commit (`dialect::hold`). Gaps remain
//! possible on both: a transaction that was undone leaves one.

use agentopia_domain::event::{Actor, Event, NewEvent, ObjectKind, Outcome};
use agentopia_domain::page::MAX_LIMIT;
use agentopia_domain::{AccountId, AgentId, Ambient, EnvironmentId, EventId, UserId};
use sea_orm::sea_query::{ExprTrait as _, LikeExpr};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, Condition, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::convert::{corrupt, from_json, from_word, json, micros, time, word};
use crate::dialect::{self, Exclusive};
use crate::entity::event::{ActiveModel, Column, Entity, Model};
use crate::error::StoreError;
use crate::seam::Transaction;
use crate::store::Store;

/// Reading and appending events. See [`Store::events`].
#[derive(Debug, Clone, Copy)]
pub struct Events<'a>(&'a Store);

impl Store {
    /// The stream of what happened.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        Events(self)
    }
}

/// Whose events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventScope {
    /// One account's timeline.
    Account(AccountId),
    /// An admin's timeline: their account's, and the installation's own events.
    Admin(AccountId),
    /// Everything.
    Everything,
}

/// Which events are asked for; the default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only kinds that begin so: `instance.` or a whole kind.
    pub kind_prefix: Option<String>,
    /// Only of this kind of object.
    pub object_kind: Option<ObjectKind>,
    /// Only of this object.
    pub object_id: Option<Uuid>,
}

/// A part of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The newest first.
    pub items: Vec<Event>,
    /// The `before` of the next page; `None` at the beginning of time.
    pub next_before: Option<i64>,
}

impl Events<'_> {
    /// Writes events that tell of no change in the store (a failed sign-in, for example). Changes
    /// take theirs along.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn append(&self, events: &[NewEvent]) -> Result<(), StoreError> {
        let transaction = self.0.begin().await?;
        self.0.finish(transaction, events).await
    }

    /// The newest events first, below the sequence `before`; at most `limit` (1 to 200).
    ///
    /// # Errors
    /// Only the database's.
    pub async fn list(
        &self,
        scope: EventScope,
        filter: &EventFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        let limit = limit.clamp(1, MAX_LIMIT) as usize;
        let mut query = select(scope, filter).order_by_desc(Column::Sequence);
        if let Some(before) = before {
            query = query.filter(Column::Sequence.lt(before));
        }
        let rows = query.limit(limit as u64 + 1).all(self.0.read()).await?;
        let next_before = (rows.len() > limit).then(|| rows[limit - 1].sequence);
        let items = rows.into_iter().take(limit).map(to_event);
        Ok(EventPage {
            items: items.collect::<Result<_, _>>()?,
            next_before,
        })
    }

    /// Events after the sequence `after`, the oldest first: what a live reader missed. Asking
    /// again with the last sequence received never skips one.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn after(
        &self,
        scope: EventScope,
        filter: &EventFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let rows = select(scope, filter)
            .filter(Column::Sequence.gt(after))
            .order_by_asc(Column::Sequence)
            .limit(u64::from(limit.clamp(1, 1000)))
            .all(self.0.read())
            .await?;
        rows.into_iter().map(to_event).collect()
    }

    /// The highest sequence of all, 0 where nothing ever happened: where a live reader begins, and
    /// a cheap sign that something changed.
    ///
    /// # Errors
    /// Only the database's.
    pub async fn latest_sequence(&self) -> Result<i64, StoreError> {
        let last = Entity::find()
            .select_only()
            .column(Column::Sequence)
            .order_by_desc(Column::Sequence)
            .limit(1)
            .into_tuple::<i64>()
            .one(self.0.read())
            .await?;
        Ok(last.unwrap_or(0))
    }
}

fn select(scope: EventScope, filter: &EventFilter) -> Select<Entity> {
    let mut query = Entity::find();
    match scope {
        EventScope::Account(account) => {
            query = query.filter(Column::AccountId.eq(account.as_uuid()));
        }
        EventScope::Admin(account) => {
            let own = Column::AccountId.eq(account.as_uuid());
            let either = Condition::any().add(own).add(Column::AccountId.is_null());
            query = query.filter(either);
        }
        EventScope::Everything => {}
    }
    if let Some(prefix) = &filter.kind_prefix {
        query = query.filter(
            sea_orm::sea_query::Expr::col(Column::Kind)
                .like(LikeExpr::new(like_prefix(prefix)).escape('\\')),
        );
    }
    if let Some(kind) = &filter.object_kind {
        query = query.filter(Column::ObjectKind.eq(word(kind)));
    }
    if let Some(id) = filter.object_id {
        query = query.filter(Column::ObjectId.eq(id));
    }
    query
}

fn like_prefix(text: &str) -> String {
    format!("{}%", escape_like(text))
}

/// Takes the meaning from LIKE's wildcards; `\` is the escape character.
pub(crate) fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
}

/// Appends inside a transaction; called by [`Store::finish`] alone, right before the commit.
pub(crate) async fn append(
    transaction: &Transaction,
    ambient: &Ambient,
    events: &[NewEvent],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    dialect::hold(transaction, Exclusive::EventOrder).await?;
    let at = micros(ambient.now());
    for event in events {
        let (actor_kind, actor_id) = split_actor(event.actor);
        let row = ActiveModel {
            sequence: NotSet,
            id: Set(ambient.new_id::<EventId>().as_uuid()),
            at: Set(at),
            account_id: Set(event.account_id.map(AccountId::as_uuid)),
            actor_kind: Set(actor_kind.to_owned()),
            actor_id: Set(actor_id),
            kind: Set(event.kind.to_owned()),
            object_kind: Set(word(&event.object.0)),
            object_id: Set(event.object.1),
            outcome: Set(word(&event.outcome)),
            message: Set(event.message.clone()),
            data: Set(json("events.data", &event.data)?),
            source_ip: Set(event.source_ip.clone()),
            request_id: Set(event.request_id.clone()),
        };
        Entity::insert(row)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

fn split_actor(actor: Actor) -> (&'static str, Option<Uuid>) {
    match actor {
        Actor::User(id) => ("user", Some(id.as_uuid())),
        Actor::Agent(id) => ("agent", Some(id.as_uuid())),
        Actor::Dtma(id) => ("dtma", Some(id.as_uuid())),
        Actor::System => ("system", None),
        Actor::Service => ("service", None),
        Actor::Anonymous => ("anonymous", None),
    }
}

fn join_actor(kind: &str, id: Option<Uuid>) -> Result<Actor, StoreError> {
    Ok(match (kind, id) {
        ("user", Some(id)) => Actor::User(UserId::from(id)),
        ("agent", Some(id)) => Actor::Agent(AgentId::from(id)),
        ("dtma", Some(id)) => Actor::Dtma(EnvironmentId::from(id)),
        ("system", None) => Actor::System,
        ("service", None) => Actor::Service,
        ("anonymous", None) => Actor::Anonymous,
        _ => return Err(corrupt("events.actor_kind", "unknown word")),
    })
}

fn to_event(row: Model) -> Result<Event, StoreError> {
    let object_kind: ObjectKind = from_word("events.object_kind", &row.object_kind)?;
    let outcome: Outcome = from_word("events.outcome", &row.outcome)?;
    Ok(Event {
        id: row.id.into(),
        sequence: row.sequence,
        at: time("events.at", row.at)?,
        account_id: row.account_id.map(AccountId::from),
        actor: join_actor(&row.actor_kind, row.actor_id)?,
        kind: row.kind,
        object: (object_kind, row.object_id),
        outcome,
        message: row.message,
        data: from_json("events.data", &row.data)?,
        source_ip: row.source_ip,
        request_id: row.request_id,
    })
}
