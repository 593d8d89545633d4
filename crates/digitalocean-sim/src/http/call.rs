//! A call: what a handler gets of a request that was let in.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use parking_lot::MutexGuard;

use super::entry::Admitted;
use crate::refusal::Refusal;
use crate::settings::Scopes;
use crate::simulator::Simulator;
use crate::state::State;

/// A call that was let in.
#[derive(Debug)]
pub(super) struct Call {
    simulator: Simulator,
    /// When it arrived.
    pub(super) now: DateTime<Utc>,
    scopes: Scopes,
    /// What links begin with.
    pub(super) base_url: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Bytes,
}

impl FromRequestParts<Simulator> for Call {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        simulator: &Simulator,
    ) -> Result<Self, Response> {
        let admitted = parts.extensions.remove::<Admitted>();
        // A route without the entry before it would be one without a token.
        let admitted = admitted.ok_or_else(|| Refusal::unauthorised().into_response())?;
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        Ok(Self {
            simulator: simulator.clone(),
            now: admitted.now,
            scopes: admitted.scopes,
            base_url: admitted.base_url,
            path: parts.uri.path().to_owned(),
            query: query.map(|Query(query)| query).unwrap_or_default(),
            body: admitted.body,
        })
    }
}

impl Call {
    /// # Errors
    /// 403 where the token lacks one of these scopes.
    pub(super) fn allow(&self, scopes: &[&str]) -> Result<(), Refusal> {
        if scopes.iter().all(|scope| self.scopes.allow(scope)) {
            Ok(())
        } else {
            Err(Refusal::forbidden())
        }
    }

    /// The account. Never kept across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.simulator.state()
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An id out of a path. One that can't be an id names nothing.
///
/// # Errors
/// 404.
pub(super) fn id<T: FromStr, I>(text: &str, make: impl FnOnce(T) -> I) -> Result<I, Refusal> {
    text.parse().map(make).map_err(|_| Refusal::not_found())
}
