//! Secrets that links carry in place of their instance's own (AGT-6): for each use of them processes
//! apart, whose values are fetched right before a start and are nowhere but in that start and in the
//! process.
//!
//! A use ends with its sessions, or when the control plane says that it is over ([`keep_ended`]): the
//! link is gone, switched off, or carries other secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use agentopia_dtma_api::to_control_plane::{ControlPlaneError, OwnSecretsUse};
use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::{DataPath, refusal};
use crate::identity::Link;

/// How long a process may outlive the right to its secrets; nobody reaches it in that time.
const INTERVAL: Duration = Duration::from_secs(3);
/// As many uses as the control plane takes at once.
const MOST_USES: usize = 1_000;

/// Where the values are: the control plane.
#[async_trait]
pub trait OwnSecrets: fmt::Debug + Send + Sync {
    /// The values, by the variables that they are for.
    async fn fetch(
        &self,
        wanted: &OwnSecretsUse,
    ) -> Result<BTreeMap<String, SecretString>, ControlPlaneError>;

    /// Those of `uses` that are over.
    async fn over(&self, uses: &[OwnSecretsUse]) -> Result<Vec<OwnSecretsUse>, ControlPlaneError>;
}

#[async_trait]
impl OwnSecrets for Link {
    async fn fetch(
        &self,
        wanted: &OwnSecretsUse,
    ) -> Result<BTreeMap<String, SecretString>, ControlPlaneError> {
        Ok(self.own_secrets(wanted).await?.env)
    }

    async fn over(&self, uses: &[OwnSecretsUse]) -> Result<Vec<OwnSecretsUse>, ControlPlaneError> {
        self.own_secrets_over(uses).await
    }
}

/// What a process is started with in place of the instance's own; nothing for processes that are
/// everybody's.
pub(super) async fn values(
    secrets: &dyn OwnSecrets,
    wanted: Option<&OwnSecretsUse>,
) -> Result<BTreeMap<String, SecretString>, Response> {
    let Some(wanted) = wanted else {
        return Ok(BTreeMap::new());
    };
    match secrets.fetch(wanted).await {
        Ok(values) => Ok(values),
        Err(error) if error.is_transient() => Err(refusal::not_delivered(
            StatusCode::SERVICE_UNAVAILABLE,
            "own_secrets_unavailable",
            format!("the secrets of this link can't be fetched yet: {error}"),
        )),
        Err(error) => Err(refused(
            "own_secrets_refused",
            format!(
                "the control plane does not hand out the secrets of this link (was it changed just now?): \
                 {error}"
            ),
        )),
    }
}

/// For a server that is one for everybody.
pub(super) fn unsupported() -> Response {
    refused(
        "own_secrets_unsupported",
        "this tool is one HTTP server for everybody who uses the instance, so a link can't carry secrets of \
         its own to it: take them away from the link, or deploy an instance of its own for this agent",
    )
}

/// The gateway passes the words on.
fn refused(code: &str, detail: impl Into<String>) -> Response {
    refusal::problem(StatusCode::FORBIDDEN, code, detail)
}

/// Ends processes whose link may no longer have them, until `shutdown`. While the control plane is away
/// they go on.
pub async fn keep_ended(
    path: Arc<DataPath>,
    secrets: Arc<dyn OwnSecrets>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => return,
        }
        for uses in path.sessions.uses().chunks(MOST_USES) {
            match secrets.over(uses).await {
                Ok(over) => over.iter().for_each(|one| path.sessions.end(one)),
                Err(error) => {
                    tracing::debug!(%error, "can't ask which links' secrets are still in use");
                }
            }
        }
    }
}
