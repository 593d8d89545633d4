//! New credentials in time, or long after: renewal is signed with the old key and needs no valid
//! certificate, so a machine that was away for weeks comes back by itself.
//!
//! The new credentials are on disk before they are used. A crash before that repeats the renewal
//! with the same counter, the same old key and the same new key, which the control plane allows
//! until the new certificate is first used.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_dtma_api::to_control_plane::{ControlPlaneError, RenewRequest, renewal_message};
use tokio_util::sync::CancellationToken;

use super::link::Link;
use super::store::StoreError;
use crate::reconciler::backoff::Backoff;

/// Certificates last hours to days: looking this often is often enough, whatever the clock does.
const LONGEST_SLEEP: Duration = Duration::from_secs(600);
/// Between two attempts while the control plane is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Between two attempts while it refuses: only an admin can help.
const REFUSED_PAUSE: Duration = Duration::from_secs(300);

/// How long a start waits for a renewal.
const FIRST_ATTEMPT: Duration = Duration::from_secs(5);

/// Why a renewal did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenewError {
    #[error(transparent)]
    Call(#[from] ControlPlaneError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the control plane sent credentials of another environment")]
    OtherEnvironment,
}

/// Renews whenever it is due, until `shutdown`.
pub async fn keep_renewed(link: Arc<Link>, ambient: Ambient, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_secs(1), LONGEST_PAUSE);
    let mut wanted = false;
    loop {
        let due = link.identity().until_renewal(ambient.now());
        let pause = if wanted || due.is_zero() {
            match renew(&link, &ambient).await {
                Ok(()) => {
                    wanted = false;
                    backoff.reset();
                    continue;
                }
                Err(error) => {
                    let refused = matches!(&error, RenewError::Call(call) if !call.is_transient());
                    let pause = if refused {
                        REFUSED_PAUSE
                    } else {
                        backoff.next(&ambient)
                    };
                    tracing::error!(%error, ?pause, "the machine's credentials were not renewed; trying again");
                    pause
                }
            }
        } else {
            due.min(LONGEST_SLEEP)
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = link.renewal_wanted(), if !wanted => wanted = true,
        }
    }
}

/// Renews before anything else is done, if it is due: after weeks of absence the certificate has
/// ended, and nothing works before it is renewed. If that does not succeed quickly (the control
/// plane is away), tools come first.
pub async fn renew_if_due(link: &Link, ambient: &Ambient) {
    if !link.identity().is_renewal_due(ambient.now()) {
        return;
    }
    match tokio::time::timeout(FIRST_ATTEMPT, renew(link, ambient)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the credentials are not renewed yet"),
        Err(_) => tracing::warn!("the credentials are not renewed yet: no answer"),
    }
}

/// One renewal.
pub(super) async fn renew(link: &Link, ambient: &Ambient) -> Result<(), RenewError> {
    let before = link.identity();
    let key = link.store().pending_key()?;
    let csr_pem = key.csr_pem("agentopia dtma").map_err(StoreError::from)?;
    let message = renewal_message(before.environment_id, before.join_counter, &csr_pem);
    let request = RenewRequest {
        environment_id: before.environment_id,
        join_counter: before.join_counter,
        signature: before.key.sign(&message).map_err(StoreError::from)?,
        csr_pem,
    };
    let outcome = link
        .anonymous_client()?
        .renew(&request, &before.bearer)
        .await;
    if let Err(error) = &outcome {
        // Only a lock matters here: that the credentials want renewal is known.
        if error.code() == Some("credentials_locked") {
            link.learn(Some(error));
        }
    }
    let credentials = outcome?;
    if credentials.environment_id != before.environment_id {
        return Err(RenewError::OtherEnvironment);
    }
    let identity = link.store().accept(
        &credentials,
        key,
        Some(&before),
        before.enrolled_with,
        ambient.now(),
    )?;
    tracing::info!(
        counter = identity.join_counter,
        "the machine's credentials were renewed"
    );
    link.adopt(identity)?;
    Ok(())
}
