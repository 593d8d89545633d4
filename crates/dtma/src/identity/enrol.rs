//! The first credentials, for a one-time token (DTMA-2).
//!
//! An unreachable control plane is asked again for as long as it takes, with the same key, so that
//! an answer that was lost is given again. A refused token is final: only a new one helps.

use std::path::Path;
use std::time::Duration;

use agentopia_domain::token::{TokenHash, TokenKind, hash_if};
use agentopia_domain::{Ambient, EnvironmentId};
use agentopia_dtma_api::to_control_plane::{
    ControlPlaneClient, ControlPlaneError, EnrolRequest, MachineFacts,
};
use agentopia_pki::tls::CaTrust;
use secrecy::SecretString;
use url::Url;
use zeroize::Zeroizing;

use super::MachineIdentity;
use super::store::{IdentityStore, StoreError};
use crate::reconciler::backoff::Backoff;

/// What enrolment needs besides the store.
#[derive(Debug)]
pub struct Enrolment<'a> {
    /// Where the control plane serves machines.
    pub control_plane: &'a Url,
    /// SHA-256 of its CA.
    pub ca_fingerprint: Option<&'a str>,
    /// The file that has the token.
    pub token_file: Option<&'a Path>,
    /// What this machine is.
    pub machine: &'a MachineFacts,
}

/// Why this machine has no credentials.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// They can't be read or stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are none, and no token to get some.
    #[error(
        "this machine is not enrolled and has no enrolment token: set `enrolment_token_file` and \
         `control_plane_ca_fingerprint` as the control plane gives them"
    )]
    NoToken,
    /// The token file does not hold an enrolment token.
    #[error("the file {0} does not hold an enrolment token (`enr_…`)")]
    BadToken(String),
    /// The control plane said no.
    #[error(
        "the control plane refused the enrolment: {0}. Tokens are used once and end after minutes: \
         get a new one"
    )]
    Refused(ControlPlaneError),
    /// The token is for another environment than the one whose tools are on this machine.
    #[error(
        "the token is for environment {offered}, but this data directory belongs to environment \
         {own}: use an empty data directory"
    )]
    OtherEnvironment {
        /// Whose the token is.
        offered: EnvironmentId,
        /// Whose the data is.
        own: EnvironmentId,
    },
}

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The machine's credentials: those it has, or, with a token that was not used yet, new ones.
///
/// # Errors
/// See [`EnrolError`]. Does not return while the control plane can't be reached.
pub async fn establish(
    store: &IdentityStore,
    enrolment: &Enrolment<'_>,
    ambient: &Ambient,
) -> Result<MachineIdentity, EnrolError> {
    // Damaged credentials are no obstacle where there is a token for new ones.
    let present = store.load();
    let Some((path, token)) = read_token(enrolment.token_file)? else {
        return present?.ok_or(EnrolError::NoToken);
    };
    let token_hash = hash_if(TokenKind::Enrolment, &token)
        .ok_or_else(|| EnrolError::BadToken(path.display().to_string()))?;
    let present = match present {
        Ok(present) => present,
        Err(error) => {
            tracing::error!(%error, "the stored credentials can't be used; enrolling again");
            None
        }
    };
    if let Some(identity) = &present
        && identity.enrolled_with == Some(token_hash)
    {
        delete_token(path);
        return Ok(identity.clone());
    }
    let outcome = redeem(
        store,
        enrolment,
        present.as_ref(),
        &token,
        token_hash,
        ambient,
    )
    .await;
    match (outcome, present) {
        (Ok(identity), _) => {
            delete_token(path);
            Ok(identity)
        }
        (Err(EnrolError::Refused(refusal)), Some(identity)) => {
            tracing::error!(%refusal, "the new enrolment token was refused; going on with the credentials there are");
            delete_token(path);
            Ok(identity)
        }
        (Err(error), _) => Err(error),
    }
}

async fn redeem(
    store: &IdentityStore,
    enrolment: &Enrolment<'_>,
    present: Option<&MachineIdentity>,
    token: &SecretString,
    token_hash: TokenHash,
    ambient: &Ambient,
) -> Result<MachineIdentity, EnrolError> {
    let trust = match (enrolment.ca_fingerprint, present) {
        (Some(fingerprint), _) => CaTrust::Fingerprint(fingerprint.to_owned()),
        (None, Some(identity)) => CaTrust::Pem(identity.ca_pem.clone()),
        (None, None) => return Err(EnrolError::NoToken),
    };
    let client = ControlPlaneClient::new(enrolment.control_plane.clone(), &trust, None)
        .map_err(EnrolError::Refused)?;
    let key = store.pending_key()?;
    let csr_pem = key.csr_pem("agentopia dtma").map_err(StoreError::from)?;
    let mut backoff = Backoff::new(Duration::from_millis(500), LONGEST_PAUSE);
    let credentials = loop {
        let request = EnrolRequest {
            token: token.clone(),
            csr_pem: csr_pem.clone(),
            machine: enrolment.machine.clone(),
        };
        match client.enrol(&request).await {
            Ok(credentials) => break credentials,
            Err(refusal)
                if matches!(&refusal, ControlPlaneError::Refused(_)) && !refusal.is_transient() =>
            {
                store.drop_pending_key()?;
                return Err(EnrolError::Refused(refusal));
            }
            Err(error) => {
                let pause = backoff.next(ambient);
                tracing::warn!(%error, ?pause, "not enrolled yet; trying again");
                tokio::time::sleep(pause).await;
            }
        }
    };
    if let Some(own) = present.map(|identity| identity.environment_id)
        && own != credentials.environment_id
    {
        return Err(EnrolError::OtherEnvironment {
            offered: credentials.environment_id,
            own,
        });
    }
    let identity = store.accept(&credentials, key, None, Some(token_hash), ambient.now())?;
    tracing::info!(environment = %identity.environment_id, "enrolled");
    Ok(identity)
}

fn read_token(file: Option<&Path>) -> Result<Option<(&Path, SecretString)>, EnrolError> {
    let Some(path) = file else {
        return Ok(None);
    };
    let content = crate::files::read(path).map_err(|source| StoreError::Io {
        path: path.to_owned(),
        doing: "read",
        source,
    })?;
    Ok(content.map(Zeroizing::new).map(|content| {
        let text = String::from_utf8_lossy(&content);
        (path, SecretString::from(text.trim().to_owned()))
    }))
}

fn delete_token(path: &Path) {
    if let Err(error) = crate::files::remove(path) {
        tracing::warn!(path = %path.display(), %error, "the used token can't be deleted");
    }
}
