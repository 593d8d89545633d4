//! Enrolment and renewal: what a machine has to show, and what it is given (DTMA-2).

use agentopia_domain::event::{Actor, NewEvent, ObjectKind, Outcome};
use agentopia_domain::token::{self, TokenKind};
use agentopia_domain::{AccountId, Ambient, EnvironmentId};
use agentopia_dtma_api::to_control_plane::{
    Credentials, EnrolRequest, RenewRequest, renewal_message,
};
use agentopia_pki::{Issued, verify_signature};
use agentopia_store::{
    CredentialState, DtmaCredential, NewEnrolment, Redemption, Renewal, RenewalOutcome, Store,
    StoreError,
};
use agentopia_vault::{Context, Vault};
use chrono::TimeDelta;
use secrecy::SecretString;

use super::Authority;
use super::authority::CERTIFICATE_LIFETIME;

/// How long an enrolment token can be used (security.md: at most 15 minutes).
const ENROLMENT_LIFETIME: TimeDelta = TimeDelta::minutes(15);
/// The most bytes of a provider's id of a machine: far more than any has.
const MACHINE_ID_MAX: usize = 128;
const CLONE_REASON: &str = "the same credentials were renewed in two places: the machine's disk \
     was copied, or a copy of it was started; disable and enable the environment to start over";

/// Why credentials are refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Unknown, used, expired, or meant for another machine: which one is not told.
    #[error("the enrolment token can't be used (any more)")]
    Token,
    /// The request is not what it should be.
    #[error("the certificate request can't be used: {0}")]
    Request(String),
    /// The environment is gone, or the token or the signature is not this machine's.
    #[error("the machine's credentials are not known here")]
    Unknown,
    /// A clone was detected.
    #[error("the machine's credentials are locked: {0}")]
    Locked(String),
    /// Something of ours failed.
    #[error("the control plane can't issue credentials right now")]
    Internal(#[source] anyhow::Error),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

/// Issues credentials.
#[derive(Debug, Clone, Copy)]
pub struct Issuer<'a> {
    /// Where credentials are kept.
    pub store: &'a Store,
    /// Seals the token that we show to the machine.
    pub vault: &'a dyn Vault,
    /// Signs certificates.
    pub authority: &'a Authority,
    /// Time and randomness.
    pub ambient: &'a Ambient,
}

impl Issuer<'_> {
    /// Makes a one-time token; whatever the environment had before is revoked.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn invite(
        &self,
        account: AccountId,
        environment: EnvironmentId,
    ) -> Result<SecretString, StoreError> {
        let minted = token::mint(TokenKind::Enrolment, self.ambient);
        let new = NewEnrolment {
            id: self.ambient.new_id(),
            environment_id: environment,
            account_id: account,
            enrolment_hash: minted.hash,
            expires_at: self.ambient.now() + ENROLMENT_LIFETIME,
        };
        let event = NewEvent::system(
            account,
            "environment.enrolment_issued",
            (ObjectKind::Environment, environment.as_uuid()),
            "A one-time enrolment token was made for the machine.",
        );
        self.store
            .dtma_credentials()
            .issue_unscoped(new, &[event])
            .await?;
        Ok(minted.secret)
    }

    /// Redeems a one-time token.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<Credentials, Refused> {
        let hash = token::hash_if(TokenKind::Enrolment, &request.token).ok_or(Refused::Token)?;
        if let Some(id) = &request.machine.machine_id
            && !(1..=MACHINE_ID_MAX).contains(&id.len())
        {
            let why = format!("the machine's id must have 1 to {MACHINE_ID_MAX} bytes");
            return Err(Refused::Request(why));
        }
        let credentials = self.store.dtma_credentials();
        let invited = credentials.peek(hash).await?.ok_or(Refused::Token)?;
        let environment = self
            .store
            .environments()
            .get_unscoped(invited.environment_id)
            .await?;
        if let (Some(known), Some(shown)) = (&environment.machine_id, &request.machine.machine_id)
            && known != shown
        {
            return Err(Refused::Token);
        }
        let issued = self.certificate(environment.id, &request.csr_pem)?;
        let bearer = token::mint(TokenKind::Dtma, self.ambient);
        let control = token::mint(TokenKind::Dtma, self.ambient);
        let sealed = self
            .vault
            .seal_text(&control_bearer(&invited), &control.secret)
            .await
            .map_err(|error| Refused::Internal(error.into()))?;
        let redemption = Redemption {
            public_key: issued.public_key.clone(),
            certificate_serial: issued.serial_hex.clone(),
            bearer_hash: bearer.hash,
            control_bearer: sealed,
            machine_id: request.machine.machine_id.clone(),
        };
        let event = NewEvent::system(
            environment.account_id,
            "environment.enrolled",
            (ObjectKind::Environment, environment.id.as_uuid()),
            "The machine's management agent enrolled.",
        )
        .by(Actor::Dtma(environment.id));
        let credential = match invited.redeemed_at {
            None => credentials.redeem(hash, redemption, &[event]).await?,
            // Only for the key that redeemed it: our answer to that machine was lost.
            Some(_) => credentials.redeem_again(hash, redemption).await?,
        };
        let credential = credential.ok_or(Refused::Token)?;
        Ok(self.credentials(
            environment.id,
            issued,
            bearer.secret,
            control.hash.to_hex(),
            credential.join_counter,
        ))
    }

    /// Renews credentials.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn renew(
        &self,
        request: &RenewRequest,
        bearer: &SecretString,
    ) -> Result<Credentials, Refused> {
        let hash = token::hash_if(TokenKind::Dtma, bearer).ok_or(Refused::Unknown)?;
        let credentials = self.store.dtma_credentials();
        let current = credentials
            .by_bearer_unscoped(hash)
            .await?
            .ok_or(Refused::Unknown)?;
        if current.environment_id != request.environment_id {
            return Err(Refused::Unknown);
        }
        if let CredentialState::Locked { reason } = current.state {
            return Err(Refused::Locked(reason));
        }
        let message = renewal_message(
            request.environment_id,
            request.join_counter,
            &request.csr_pem,
        );
        let signed_by = |key: &Option<Vec<u8>>| {
            key.as_deref()
                .is_some_and(|key| verify_signature(key, &message, &request.signature))
        };
        // A key that was replaced is used again by a copy of the disk, with a counter that was used
        // up: the store locks both.
        if !signed_by(&current.public_key) && !signed_by(&current.previous_public_key) {
            return Err(Refused::Unknown);
        }
        let issued = self.certificate(request.environment_id, &request.csr_pem)?;
        let next = token::mint(TokenKind::Dtma, self.ambient);
        let renewal = Renewal {
            join_counter: request.join_counter,
            public_key: issued.public_key.clone(),
            certificate_serial: issued.serial_hex.clone(),
            bearer_hash: next.hash,
        };
        let object = (ObjectKind::Environment, request.environment_id.as_uuid());
        let locked = NewEvent::system(
            current.account_id,
            "environment.credentials_locked",
            object,
            CLONE_REASON,
        )
        .outcome(Outcome::Denied);
        let outcome = credentials
            .renew(current.id, renewal, &[], CLONE_REASON, &[locked])
            .await?;
        let control = current.control_bearer.as_deref().ok_or(Refused::Unknown)?;
        let control = self
            .vault
            .open_text(&control_bearer(&current), control)
            .await
            .map_err(|error| Refused::Internal(error.into()))?;
        match outcome {
            RenewalOutcome::Renewed(credential) => Ok(self.credentials(
                request.environment_id,
                issued,
                next.secret,
                token::TokenHash::of(secrecy::ExposeSecret::expose_secret(&control)).to_hex(),
                // What it will be once the new certificate is used for the first time.
                credential.join_counter + 1,
            )),
            RenewalOutcome::Locked(_) => Err(Refused::Locked(CLONE_REASON.to_owned())),
        }
    }

    fn certificate(&self, environment: EnvironmentId, csr_pem: &str) -> Result<Issued, Refused> {
        self.authority
            .ca
            .issue_machine(environment, csr_pem, CERTIFICATE_LIFETIME, self.ambient)
            .map_err(|error| Refused::Request(error.to_string()))
    }

    fn credentials(
        &self,
        environment: EnvironmentId,
        issued: Issued,
        bearer: SecretString,
        control_plane_bearer_hash: String,
        join_counter: i64,
    ) -> Credentials {
        Credentials {
            environment_id: environment,
            certificate_pem: issued.certificate_pem,
            ca_pem: self.authority.ca.certificate_pem().to_owned(),
            bearer,
            control_plane_bearer_hash,
            join_counter,
            expires_at: issued.not_after,
            expires_in_seconds: CERTIFICATE_LIFETIME.as_secs(),
        }
    }
}

/// Where the token that we show to a machine is sealed for.
fn control_bearer(credential: &DtmaCredential) -> Context {
    Context::ControlBearer {
        account_id: credential.account_id,
        credential_id: credential.id.as_uuid(),
    }
}
