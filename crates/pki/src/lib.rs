//! Machine trust: the control plane's own certificate authority, the keys of machines, and the
//! mutually authenticated TLS between the two (architecture, decision 5).
//!
//! Nothing here trusts a public CA or a DNS name: each side checks that the other's certificate
//! comes from *this installation's* CA and carries the one name that it expects, whatever address
//! it dialled. Start with [`CertificateAuthority`]; [`tls`] builds the configurations and
//! [`listener`] serves them.

mod authority;
mod certificate;
pub mod listener;
mod machine_key;
pub mod tls;

use agentopia_domain::EnvironmentId;

pub use authority::{CertificateAuthority, Issued};
pub use certificate::PeerCertificate;
pub use machine_key::{MachineKey, verify_signature};

/// The name in the control plane's certificates.
pub const CONTROL_PLANE_HOST: &str = "control-plane.agentopia.internal";

/// The name in the certificate of an environment's DTMA.
#[must_use]
pub fn machine_host(environment: EnvironmentId) -> String {
    format!("{environment}.dtma.agentopia.internal")
}

/// The environment that a machine's certificate was issued to.
#[must_use]
pub fn environment_of(host: &str) -> Option<EnvironmentId> {
    host.strip_suffix(".dtma.agentopia.internal")?.parse().ok()
}

/// What can go wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key, request or certificate is not what it should be.
    #[error("the {what} can't be read: {reason}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// A signature or certificate could not be made.
    #[error("signing failed: {0}")]
    Signing(#[from] rcgen::Error),
    /// TLS could not be set up with these keys and certificates.
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl PkiError {
    pub(crate) fn malformed(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed {
            what,
            reason: reason.to_string(),
        }
    }
}
