//! What is known of a credential, and how it is read from its row.

use agentopia_domain::token::TokenHash;
use agentopia_domain::{AccountId, CredentialId, EnvironmentId};
use chrono::{DateTime, Utc};

use crate::convert::{corrupt, time, time_opt};
use crate::entity::dtma_credential::Model;
use crate::error::StoreError;

/// Whether a credential opens anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialState {
    /// The one-time token was not used yet.
    Enrolling,
    /// In use.
    Active,
    /// Two machines had it.
    Locked {
        /// What was seen, for the admin.
        reason: String,
    },
    /// Over.
    Revoked,
}

/// The record of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DtmaCredential {
    /// Its id.
    pub id: CredentialId,
    /// The environment.
    pub environment_id: EnvironmentId,
    /// Whose it is.
    pub account_id: AccountId,
    /// Whether it opens anything.
    pub state: CredentialState,
    /// When the one-time token ends.
    pub enrolment_expires_at: DateTime<Utc>,
    /// When it was used.
    pub redeemed_at: Option<DateTime<Utc>>,
    /// The machine's public key (SPKI, DER).
    pub public_key: Option<Vec<u8>>,
    /// The key before: whoever still signs with it has a copy of the machine's disk.
    pub previous_public_key: Option<Vec<u8>>,
    /// The serial of the certificate in use.
    pub certificate_serial: Option<String>,
    /// The serial of the certificate that was handed out and not used yet.
    pub next_certificate_serial: Option<String>,
    /// The hash of the bearer token in use.
    pub bearer_hash: Option<TokenHash>,
    /// The hash of the one that was handed out and not used yet.
    pub next_bearer_hash: Option<TokenHash>,
    /// The hash of the one before.
    pub previous_bearer_hash: Option<TokenHash>,
    /// The token that the control plane shows to the machine, sealed.
    pub control_bearer: Option<Vec<u8>>,
    /// Grows with every pair that came into use: 1 after the enrolment.
    pub join_counter: i64,
    /// Why the first start of the machine failed, as it reported.
    pub bootstrap_failure: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl DtmaCredential {
    /// Whether `serial` is one that this machine may show: the current or the next one.
    #[must_use]
    pub fn accepts_serial(&self, serial: &str) -> bool {
        self.certificate_serial.as_deref() == Some(serial)
            || self.next_certificate_serial.as_deref() == Some(serial)
    }
}

pub(super) fn to_credential(row: Model) -> Result<DtmaCredential, StoreError> {
    let hash = |text: Option<String>| {
        text.map(|text| {
            TokenHash::from_hex(&text)
                .ok_or_else(|| corrupt("dtma_credentials.bearer_hash", "no hash"))
        })
        .transpose()
    };
    let state = if row.revoked_at.is_some() {
        CredentialState::Revoked
    } else if row.locked_at.is_some() {
        CredentialState::Locked {
            reason: row.lock_reason.unwrap_or_default(),
        }
    } else if row.redeemed_at.is_some() {
        CredentialState::Active
    } else {
        CredentialState::Enrolling
    };
    Ok(DtmaCredential {
        id: row.id.into(),
        environment_id: row.environment_id.into(),
        account_id: row.account_id.into(),
        state,
        enrolment_expires_at: time(
            "dtma_credentials.enrolment_expires_at",
            row.enrolment_expires_at,
        )?,
        redeemed_at: time_opt("dtma_credentials.redeemed_at", row.redeemed_at)?,
        public_key: row.public_key,
        previous_public_key: row.previous_public_key,
        certificate_serial: row.certificate_serial,
        next_certificate_serial: row.next_certificate_serial,
        bearer_hash: hash(row.bearer_hash)?,
        next_bearer_hash: hash(row.next_bearer_hash)?,
        previous_bearer_hash: hash(row.previous_bearer_hash)?,
        control_bearer: row.control_bearer,
        join_counter: row.join_counter,
        bootstrap_failure: row.bootstrap_failure,
        created_at: time("dtma_credentials.created_at", row.created_at)?,
        updated_at: time("dtma_credentials.updated_at", row.updated_at)?,
    })
}
