//! One call: what is to be done, in words, and the request that does it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde::Serialize;
use url::Url;

use crate::budget::{Meter, Urgency};
use crate::endpoint::{Endpoint, uri};
use crate::error::{Asked, Error, Reason};
use crate::retry::Effect;

/// See the module's header.
pub(crate) struct Call {
    asked: Asked,
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
    pub(super) meter: Meter,
    /// Besides what the client's own urgency says.
    pub(super) urgency: Urgency,
    /// Instead of path and query: the address of a further page.
    link: Option<Url>,
}

impl Call {
    fn new(
        operation: &'static str,
        method: Method,
        effect: Effect,
        path: impl IntoIterator<Item = impl ToString>,
    ) -> Self {
        Self {
            asked: Asked { operation, effect },
            method,
            path: path.into_iter().map(|part| part.to_string()).collect(),
            query: Vec::new(),
            body: None,
            meter: Meter::General,
            urgency: Urgency::Ordinary,
            link: None,
        }
    }

    /// Reads. `operation` completes "can't …".
    pub(crate) fn get(
        operation: &'static str,
        path: impl IntoIterator<Item = impl ToString>,
    ) -> Self {
        Self::new(operation, Method::GET, Effect::Read, path)
    }

    /// Sent once at most, see [`Effect::Once`].
    pub(crate) fn post(
        operation: &'static str,
        path: impl IntoIterator<Item = impl ToString>,
    ) -> Self {
        Self::new(operation, Method::POST, Effect::Once, path)
    }

    /// Sets the state of something.
    pub(crate) fn put(
        operation: &'static str,
        path: impl IntoIterator<Item = impl ToString>,
    ) -> Self {
        Self::new(operation, Method::PUT, Effect::Idempotent, path)
    }

    /// Sets a part of the state of something.
    pub(crate) fn patch(
        operation: &'static str,
        path: impl IntoIterator<Item = impl ToString>,
    ) -> Self {
        Self::new(operation, Method::PATCH, Effect::Once, path)
    }

    /// Takes something away.
    pub(crate) fn delete(
        operation: &'static str,
        path: impl IntoIterator<Item = impl ToString>,
    ) -> Self {
        Self {
            urgency: Urgency::Urgent,
            ..Self::new(operation, Method::DELETE, Effect::Idempotent, path)
        }
    }

    /// A `POST` that leaves the same state however often it is sent, such as putting something into
    /// a set.
    pub(crate) fn repeatable(mut self) -> Self {
        self.asked.effect = Effect::Idempotent;
        self
    }

    pub(crate) fn metered(mut self, meter: Meter) -> Self {
        self.meter = meter;
        self
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Result<Self, Error> {
        match serde_json::to_vec(body) {
            Ok(bytes) => {
                self.body = Some(bytes.into());
                Ok(self)
            }
            // No type of ours can fail here. The error says nothing of the values.
            Err(error) => {
                let what = format!("{:?} error in the request", error.classify());
                Err(self.asked.invalid(Reason::NotUnderstood(what)))
            }
        }
    }

    /// The same for another page.
    pub(crate) fn at(&self, link: Url) -> Self {
        Self {
            asked: self.asked,
            method: self.method.clone(),
            path: Vec::new(),
            query: Vec::new(),
            body: None,
            meter: self.meter,
            urgency: self.urgency,
            link: Some(link),
        }
    }

    pub(crate) fn asked(&self) -> Asked {
        self.asked
    }

    pub(crate) fn address(&self, endpoint: &Endpoint) -> Url {
        match &self.link {
            Some(link) => link.clone(),
            None => endpoint.url(&self.path, &self.query),
        }
    }

    pub(super) fn request(
        &self,
        endpoint: &Endpoint,
        authorization: &HeaderValue,
    ) -> Result<Request<Bytes>, Error> {
        let address = uri(&self.address(endpoint)).ok_or_else(|| {
            let what = "an address that no request can have".to_owned();
            self.asked.invalid(Reason::NotUnderstood(what))
        })?;
        let mut request = Request::new(self.body.clone().unwrap_or_default());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = address;
        let headers = request.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::AUTHORIZATION, authorization.clone());
        headers.insert(header::ACCEPT, json.clone());
        if self.body.is_some() {
            headers.insert(header::CONTENT_TYPE, json);
        }
        Ok(request)
    }
}

/// Without the body, in which user-data stands.
impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Call")
            .field("asked", &self.asked)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}
