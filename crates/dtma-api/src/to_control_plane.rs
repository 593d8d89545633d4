//! What a machine asks of the control plane (`/api/dtma/v1/…`).
//!
//! `enrol`, `bootstrap`, `download/…` and `credentials/renew` are called without a client
//! certificate (there is none yet, or it may have expired while the machine was away); all else needs the certificate *and*
//! the bearer token of the same machine.

mod client;
mod own_secrets;
mod update;

use std::collections::BTreeMap;

use agentopia_domain::metrics::Sample;
use agentopia_domain::observed::ObservedInstance;
use agentopia_domain::resources::Capacity;
use agentopia_domain::{EnvironmentId, InstanceId};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

pub use client::{ControlPlaneClient, ControlPlaneError, Identity};
pub use own_secrets::{OwnSecretsReply, OwnSecretsRequest, OwnSecretsUse};
pub use update::{DtmaOffer, ProgramOffer, UpdateOutcome, UpdateReport};

/// Paths below the control plane's DTMA address.
pub mod path {
    /// `POST`: [`super::EnrolRequest`] → [`super::Credentials`].
    pub const ENROL: &str = "/api/dtma/v1/enrol";
    /// `POST`: [`super::RenewRequest`] → [`super::Credentials`].
    pub const RENEW: &str = "/api/dtma/v1/credentials/renew";
    /// `POST`: [`super::Heartbeat`] → [`super::HeartbeatReply`].
    pub const HEARTBEAT: &str = "/api/dtma/v1/heartbeat";
    /// `POST`: [`super::BootstrapReport`], with the one-time token as bearer.
    pub const BOOTSTRAP: &str = "/api/dtma/v1/bootstrap";
    /// `POST`: [`super::OwnSecretsRequest`] → [`super::OwnSecretsReply`].
    pub const OWN_SECRETS: &str = "/api/dtma/v1/own-secrets";
    /// `POST`: a list of [`super::OwnSecretsUse`], at most 1,000 → those of them that are over.
    pub const OWN_SECRETS_IN_USE: &str = "/api/dtma/v1/own-secrets/in-use";
    /// `GET`: a program for machines, `dtma` or `tool-init`, to everybody.
    #[must_use]
    pub fn download(program: &str) -> String {
        format!("/api/dtma/v1/download/{program}")
    }
    /// `POST /api/dtma/v1/instances/{id}/secrets`: [`super::SecretsRequest`] →
    /// [`super::SecretsReply`].
    #[must_use]
    pub fn secrets(instance: agentopia_domain::InstanceId) -> String {
        format!("/api/dtma/v1/instances/{instance}/secrets")
    }
}

/// How far a machine's first start has come (ENV-6). Sent by the script in its user-data, with the
/// one-time token as bearer; that token is looked at and not used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootstrapReport {
    /// What it is at: `docker`, `metadata`, `download`, `enrol`.
    pub phase: String,
    /// What became of it.
    pub outcome: BootstrapOutcome,
    /// On failure: the end of its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// What became of a phase of a machine's first start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootstrapOutcome {
    /// It began; the ones before have ended well.
    Started,
    /// It was the last one, and ended well.
    Finished,
    /// It failed, and nothing comes after it.
    Failed,
}

/// Enrolment: a one-time token for credentials (DTMA-2).
#[derive(Debug, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The `enr_` token from the user-data.
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// A PKCS #10 request in PEM, for a key that was made on the machine and never leaves it.
    pub csr_pem: String,
    /// What the machine is.
    pub machine: MachineFacts,
}

/// What a machine is, reported at enrolment and with every heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// The version of the DTMA.
    pub dtma_version: String,
    /// SHA-256 (lower-case hex) of the program that runs: of the DTMA's own file. Not there while it
    /// is not known yet, and where the DTMA can't be updated by the control plane (an image).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtma_sha256: Option<String>,
    /// Changes with every boot of the machine and every start of the DTMA.
    pub boot_id: String,
    /// The port on which this DTMA listens.
    pub port: u16,
    /// The provider's id of the machine, as its metadata service tells, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// `docker` or `process`.
    pub runtime: String,
    /// Versions of what it runs tools with: `docker`, `containerd`, `runc`, `kernel`.
    pub versions: BTreeMap<String, String>,
    /// What the machine has.
    pub capacity: Capacity,
}

/// Credentials of one machine, from enrolment or renewal.
#[derive(Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// Which environment this machine is.
    pub environment_id: EnvironmentId,
    /// The machine's certificate, for the DTMA's server and for its client side alike.
    pub certificate_pem: String,
    /// The control plane's CA.
    pub ca_pem: String,
    /// The machine's `dtma_` bearer token; the one before stays good until this one is first used.
    #[serde(serialize_with = "expose")]
    pub bearer: SecretString,
    /// SHA-256 (hex) of the bearer token that the control plane will present to the DTMA.
    pub control_plane_bearer_hash: String,
    /// How often these credentials were renewed; has to be sent with the next renewal. A machine
    /// whose disk was cloned has the same counter twice, and the second one to use it is found out.
    pub join_counter: i64,
    /// When the certificate ends. Renewal is due at a third of its life.
    pub expires_at: DateTime<Utc>,
    /// How many seconds from now that is, for machines whose clock is wrong.
    pub expires_in_seconds: u64,
}

/// Renewal: works without a valid certificate, so that a machine that was away for weeks comes
/// back by itself. Signed with the key of the credentials before.
#[derive(Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// Which environment.
    pub environment_id: EnvironmentId,
    /// The counter of the credentials before.
    pub join_counter: i64,
    /// A PKCS #10 request in PEM for a new key.
    pub csr_pem: String,
    /// ECDSA P-256/SHA-256 (ASN.1, base64) over [`renewal_message`] by the key before.
    pub signature: String,
}

/// The bytes that a renewal signs: everything in the request that matters, with a fixed context so
/// that the signature can't be used for anything else.
#[must_use]
pub fn renewal_message(environment: EnvironmentId, join_counter: i64, csr_pem: &str) -> Vec<u8> {
    format!("agentopia dtma credential renewal v1\n{environment}\n{join_counter}\n{csr_pem}")
        .into_bytes()
}

/// Sent every few seconds, and with buffered samples after an outage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    /// What the machine is.
    pub machine: MachineFacts,
    /// Every instance that the DTMA knows of.
    pub instances: Vec<ObservedInstance>,
    /// Measurements since the last heartbeat that was answered, oldest first, at most
    /// [`MAX_SAMPLES`].
    #[serde(default)]
    pub samples: Vec<Sample>,
    /// What became of the last update, until an answer shows that it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<UpdateReport>,
}

/// The most samples in one heartbeat; more are sent with the next.
pub const MAX_SAMPLES: usize = 360;

/// The answer to a heartbeat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Samples up to this sequence of this boot are stored and may be forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_up_to: Option<u64>,
    /// Seconds until the next heartbeat is expected.
    pub interval_seconds: u32,
    /// Instances that should not be on this machine (the control plane has no record of them or
    /// has removed them); the DTMA removes them and keeps their volumes.
    #[serde(default)]
    pub unknown_instances: Vec<InstanceId>,
    /// The DTMA that the machine is to run, where it runs another (DTMA-8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<DtmaOffer>,
}

/// Asked right before a start (DTMA-6).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretsRequest {
    /// The generation that is about to start, for the audit.
    pub generation: i64,
    /// The registry that the image comes from, if it is about to be pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
}

/// The values, for the tool's memory only.
#[derive(Debug, Serialize, Deserialize)]
pub struct SecretsReply {
    /// Environment variable to value.
    #[serde(serialize_with = "expose_map")]
    pub env: BTreeMap<String, SecretString>,
    /// The login at the registry that was asked for, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryLogin>,
}

/// A login at a container registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryLogin {
    /// User name.
    pub username: String,
    /// Password or token.
    #[serde(serialize_with = "expose")]
    pub password: SecretString,
}

/// Secrets are written out in these messages and nowhere else.
fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn expose_map<S: Serializer>(
    secrets: &BTreeMap<String, SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        secrets
            .iter()
            .map(|(name, value)| (name, value.expose_secret())),
    )
}
