//! Who is calling, with everything that a handler needs to answer.

use agentopia_domain::AccountId;
use agentopia_domain::event::{Actor, NewEvent, ObjectKind, Outcome};
use agentopia_store::{EventScope, Store};
use axum::extract::FromRequestParts;
use chrono::{DateTime, Utc};
use http::request::Parts;
use std::net::IpAddr;
use uuid::Uuid;

use crate::auth::caller::Caller;
use crate::auth::permission::{self, Requirement};
use crate::problem::Refusal;
use crate::state::AppState;

/// What is known of a request before anybody looked who sent it.
#[derive(Debug, Clone)]
pub struct RequestMeta {
    /// Its id in the log.
    pub request_id: String,
    /// The address it came from, where there is one (there is none in a Unix socket or a test).
    pub source_ip: Option<IpAddr>,
}

/// A request of a signed-in caller that may do what it asks: the table of permissions was asked
/// before.
#[derive(Debug)]
pub struct Call {
    /// Who.
    pub caller: Caller,
    /// From where.
    pub meta: RequestMeta,
    /// With what to answer.
    pub state: AppState,
}

/// A request of anybody.
#[derive(Debug)]
pub struct PublicCall {
    /// From where.
    pub meta: RequestMeta,
    /// With what to answer.
    pub state: AppState,
}

impl Call {
    /// The account that everything is scoped by.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.caller.account()
    }

    /// Which events the caller may read: for admins those of the installation as a whole too.
    #[must_use]
    pub fn timeline(&self) -> EventScope {
        match self.is_admin() {
            true => EventScope::Admin(self.account()),
            false => EventScope::Account(self.account()),
        }
    }

    /// Whether the caller may do what only admins may, by role and by scope.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        let caller = &self.caller;
        permission::decide(Requirement::Admin, caller.user.role, caller.means()).is_ok()
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.state.store
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.state.ambient.now()
    }

    /// A new id.
    #[must_use]
    pub fn new_id<I: From<Uuid>>(&self) -> I {
        self.state.ambient.new_id()
    }

    /// An event that tells what this caller did in their own account.
    pub fn event(
        &self,
        kind: &'static str,
        object: (ObjectKind, impl Into<Uuid>),
        message: impl Into<String>,
    ) -> NewEvent {
        NewEvent {
            account_id: Some(self.account()),
            actor: self.caller.actor(),
            kind,
            object: (object.0, object.1.into()),
            outcome: Outcome::Succeeded,
            message: message.into(),
            data: serde_json::Value::Null,
            source_ip: self.meta.source_ip.map(|ip| ip.to_string()),
            request_id: Some(self.meta.request_id.clone()),
        }
    }

    /// An event that concerns the whole installation.
    pub fn installation_event(
        &self,
        kind: &'static str,
        object: (ObjectKind, impl Into<Uuid>),
        message: impl Into<String>,
    ) -> NewEvent {
        NewEvent {
            account_id: None,
            ..self.event(kind, object, message)
        }
    }
}

impl PublicCall {
    /// An event that tells what somebody did who is not signed in.
    pub fn event(
        &self,
        account_id: Option<AccountId>,
        actor: Actor,
        kind: &'static str,
        object: (ObjectKind, impl Into<Uuid>),
        message: impl Into<String>,
    ) -> NewEvent {
        NewEvent {
            account_id,
            actor,
            kind,
            object: (object.0, object.1.into()),
            outcome: Outcome::Succeeded,
            message: message.into(),
            data: serde_json::Value::Null,
            source_ip: self.meta.source_ip.map(|ip| ip.to_string()),
            request_id: Some(self.meta.request_id.clone()),
        }
    }
}

impl FromRequestParts<AppState> for Call {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        // Missing only if a route was mounted without the middleware that fills it in.
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(|| {
            Refusal::internal(anyhow::anyhow!("a route is not behind authentication"))
        })?;
        Ok(Self {
            caller,
            meta: meta(parts),
            state: state.clone(),
        })
    }
}

impl FromRequestParts<AppState> for PublicCall {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        Ok(Self {
            meta: meta(parts),
            state: state.clone(),
        })
    }
}

fn meta(parts: &Parts) -> RequestMeta {
    parts
        .extensions
        .get::<RequestMeta>()
        .cloned()
        .unwrap_or_else(|| RequestMeta {
            request_id: String::new(),
            source_ip: None,
        })
}
