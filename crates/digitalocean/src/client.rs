//! The client: whose token, where, through what. The operations are in a file per resource.

mod call;
mod execute;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use crate::account::AccountApi;
use crate::actions::ActionsApi;
use crate::budget::{Budget, Urgency};
use crate::droplets::DropletsApi;
use crate::endpoint::Endpoint;
use crate::firewalls::FirewallsApi;
use crate::images::ImagesApi;
use crate::keys::KeysApi;
use crate::projects::ProjectsApi;
use crate::regions::RegionsApi;
use crate::sizes::SizesApi;
use crate::tags::TagsApi;
use crate::transport::Transport;

pub(crate) use call::Call;
pub use execute::Removal;

/// How long one request may take, from the first byte out to the last byte in. What takes longer
/// counts as lost; for a droplet that means looking for it by its tag, which is safe, only slower.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long one call waits at most between its requests: for its turn, for a pause that
/// DigitalOcean asked for, after failures. A whole window of the limit per minute fits in, so that
/// a burst is waited out here; the end of the hour is not waited for but told
/// ([`crate::Error::RateLimited`]).
pub const PATIENCE: Duration = Duration::from_secs(65);

/// A client of DigitalOcean's API with one token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    urgency: Urgency,
}

struct Shared {
    transport: Arc<dyn Transport>,
    endpoint: Endpoint,
    token: SecretString,
    /// `Bearer …`, marked as sensitive: it prints as `Sensitive`.
    authorization: HeaderValue,
    budget: Budget,
    ambient: Ambient,
}

/// The token has characters that no token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the DigitalOcean token is empty or has characters that no token has; copy it again")]
pub struct InvalidToken;

impl Client {
    /// A client. Clients with the same token must be given clones of the same `budget`.
    ///
    /// # Errors
    /// When the token can't be one. It is not part of the error.
    pub fn new(
        transport: Arc<dyn Transport>,
        endpoint: Endpoint,
        token: SecretString,
        budget: Budget,
        ambient: Ambient,
    ) -> Result<Self, InvalidToken> {
        let text = token.expose_secret();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidToken);
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| InvalidToken)?;
        authorization.set_sensitive(true);
        Ok(Self {
            shared: Arc::new(Shared {
                transport,
                endpoint,
                token,
                authorization,
                budget,
                ambient,
            }),
            urgency: Urgency::Ordinary,
        })
    }

    /// The same client for calls that should not wait behind others: whatever ends costs or finds
    /// out whether a droplet exists. Deletions are urgent anyway.
    #[must_use]
    pub fn urgent(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            urgency: Urgency::Urgent,
        }
    }

    /// How many requests the token has left this hour, as far as is known, and how many it has an
    /// hour.
    #[must_use]
    pub fn requests_left(&self) -> (usize, usize) {
        self.shared.budget.left()
    }

    pub(crate) fn ambient(&self) -> &Ambient {
        &self.shared.ambient
    }

    /// The account that the token belongs to.
    #[must_use]
    pub fn account(&self) -> AccountApi<'_> {
        AccountApi(self)
    }

    /// Actions of all resources.
    #[must_use]
    pub fn actions(&self) -> ActionsApi<'_> {
        ActionsApi(self)
    }

    /// Droplets and what is done to them.
    #[must_use]
    pub fn droplets(&self) -> DropletsApi<'_> {
        DropletsApi(self)
    }

    /// Firewalls.
    #[must_use]
    pub fn firewalls(&self) -> FirewallsApi<'_> {
        FirewallsApi(self)
    }

    /// Images that droplets are made from.
    #[must_use]
    pub fn images(&self) -> ImagesApi<'_> {
        ImagesApi(self)
    }

    /// SSH keys of the account.
    #[must_use]
    pub fn keys(&self) -> KeysApi<'_> {
        KeysApi(self)
    }

    /// Projects.
    #[must_use]
    pub fn projects(&self) -> ProjectsApi<'_> {
        ProjectsApi(self)
    }

    /// Regions.
    #[must_use]
    pub fn regions(&self) -> RegionsApi<'_> {
        RegionsApi(self)
    }

    /// Sizes of droplets.
    #[must_use]
    pub fn sizes(&self) -> SizesApi<'_> {
        SizesApi(self)
    }

    /// Tags.
    #[must_use]
    pub fn tags(&self) -> TagsApi<'_> {
        TagsApi(self)
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("endpoint", &self.shared.endpoint)
            .field("urgency", &self.urgency)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "client/client_tests.rs"]
mod tests;
