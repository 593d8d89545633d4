//! Secrets and registry logins, fetched right before they are needed (DTMA-6). They live in the
//! memory of a start and in the tool; never on disk, in a log or in a message.

use std::collections::BTreeMap;
use std::time::Duration;

use agentopia_domain::observed::Phase;
use agentopia_domain::spec::InstanceSpec;
use agentopia_dtma_api::to_control_plane::{
    ControlPlaneError, RegistryLogin, SecretsReply, SecretsRequest,
};
use secrecy::SecretString;

use super::backoff::Backoff;
use super::shared::Shared;
use crate::runtime::{ErrorCode, RuntimeError};

/// Between two attempts while the control plane is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What one start needs.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    /// Values for the tool.
    pub(super) env: BTreeMap<String, SecretString>,
    /// For the image's registry.
    pub(super) login: Option<RegistryLogin>,
}

/// Fetches what the start of `spec` needs. While the control plane is away, a tool with secrets
/// waits, and says so; one without starts (its image may need no login).
///
/// # Errors
/// [`ErrorCode::SecretsRefused`] when the control plane says no.
pub(super) async fn fetch(
    shared: &Shared,
    spec: &InstanceSpec,
    for_fetch: bool,
) -> Result<Fetched, RuntimeError> {
    let registry = spec
        .program
        .image
        .registry()
        .filter(|_| for_fetch)
        .map(str::to_owned);
    if spec.secret_names.is_empty() && registry.is_none() {
        return Ok(Fetched::default());
    }
    let request = SecretsRequest {
        generation: spec.generation,
        registry,
    };
    let mut backoff = Backoff::new(Duration::from_millis(500), LONGEST_PAUSE);
    loop {
        match shared.link.secrets(spec.instance_id, &request).await {
            Ok(reply) => return Ok(wanted(spec, reply)),
            Err(error) if error.is_transient() => {
                if spec.secret_names.is_empty() {
                    tracing::warn!(instance = %spec.instance_id, %error, "trying without a registry login");
                    return Ok(Fetched::default());
                }
                shared.board.phase(
                    spec.instance_id,
                    Phase::WaitingForSecrets,
                    Some(waiting(&error)),
                );
                tokio::time::sleep(backoff.next(&shared.ambient)).await;
            }
            Err(error) => {
                return Err(RuntimeError::new(
                    ErrorCode::SecretsRefused,
                    format!("the control plane does not hand out the tool's secrets: {error}"),
                ));
            }
        }
    }
}

fn waiting(error: &ControlPlaneError) -> String {
    format!("the tool's secrets can't be fetched yet, trying again: {error}")
}

/// Only what the spec names: nothing else gets into a tool.
fn wanted(spec: &InstanceSpec, reply: SecretsReply) -> Fetched {
    Fetched {
        env: reply
            .env
            .into_iter()
            .filter(|(name, _)| spec.secret_names.contains(name))
            .collect(),
        login: reply.registry,
    }
}
