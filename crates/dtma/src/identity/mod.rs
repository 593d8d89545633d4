//! Who this machine is (DTMA-2): its key, its certificate, its bearer token.
//!
//! The key is made here and never leaves. [`store`] keeps everything on disk so that a crash at
//! any point leaves usable credentials; [`enrol`] gets the first ones for a one-time token;
//! [`renewal`] replaces them at a third of their life, also after weeks of absence; [`link`] is
//! what the rest of the DTMA sees: the current client of the control plane, the current TLS
//! configuration of our server, and whether the control plane found a clone of us.

mod enrol;
mod link;
mod renewal;
mod store;

use std::sync::Arc;

use agentopia_domain::EnvironmentId;
use agentopia_domain::token::TokenHash;
use agentopia_pki::MachineKey;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;

pub use enrol::{EnrolError, Enrolment, establish};
pub use link::{Link, Standing};
pub use renewal::{keep_renewed, renew_if_due};
pub use store::{IdentityStore, StoreError};

/// The credentials that this machine has.
#[derive(Debug, Clone)]
pub struct MachineIdentity {
    /// Which environment this machine is.
    pub environment_id: EnvironmentId,
    /// The machine's certificate.
    pub certificate_pem: String,
    /// The control plane's CA.
    pub ca_pem: String,
    /// The key of the certificate.
    pub key: Arc<MachineKey>,
    /// The machine's bearer token.
    pub bearer: SecretString,
    /// What the control plane's bearer token has to hash to.
    pub control_plane_bearer: TokenHash,
    /// The same of the credentials before: accepted until the new one is first seen, because the
    /// control plane changes over only when it has heard from us with the new credentials.
    pub previous_control_plane_bearer: Option<TokenHash>,
    /// How often these credentials were renewed.
    pub join_counter: i64,
    /// When they came, by this machine's clock.
    pub obtained_at: DateTime<Utc>,
    /// How long they last from then on.
    pub lifetime: TimeDelta,
    /// Whether the control plane said that there is a clone of this machine.
    pub locked: bool,
    /// SHA-256 of the token they came for, so that a leftover token file is recognised.
    pub enrolled_with: Option<TokenHash>,
}

impl MachineIdentity {
    /// Whether it is time to renew: a third of their life is over, or the clock is before the time
    /// at which they came, so that nothing can be said.
    #[must_use]
    pub fn is_renewal_due(&self, now: DateTime<Utc>) -> bool {
        now < self.obtained_at || now >= self.obtained_at + self.lifetime / 3
    }

    /// How long until [`Self::is_renewal_due`].
    #[must_use]
    pub fn until_renewal(&self, now: DateTime<Utc>) -> std::time::Duration {
        if self.is_renewal_due(now) {
            return std::time::Duration::ZERO;
        }
        (self.obtained_at + self.lifetime / 3 - now)
            .to_std()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
