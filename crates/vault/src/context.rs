//! What a sealed value is for. It is not stored in the ciphertext: whoever opens one has to know
//! where it was found.

use agentopia_domain::{AccountId, InstanceId, SecretId};
use uuid::Uuid;

/// What a value is sealed for; only the same opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// A secret of an account.
    Secret {
        /// Whose.
        account_id: AccountId,
        /// Which.
        secret_id: SecretId,
        /// The revision it is stored as.
        revision: i64,
    },
    /// A password of an image registry.
    RegistryLogin {
        /// Whose; `None` for the installation's.
        account_id: Option<AccountId>,
        /// The login's id, made anew with every password.
        id: Uuid,
    },
    /// The token that the control plane shows to a machine.
    ControlBearer {
        /// Whose machine.
        account_id: AccountId,
        /// The machine's credential.
        credential_id: Uuid,
    },
    /// The tokens of a login at a server that runs elsewhere, or what such a login waits with.
    UpstreamLogin {
        /// Whose login.
        account_id: AccountId,
        /// At which instance's server.
        instance_id: InstanceId,
        /// Made anew with every value.
        id: Uuid,
    },
    /// A key of the installation itself.
    System {
        /// Its name.
        name: String,
    },
}

impl Context {
    /// The bytes that are authenticated along: a word for the kind, then fields of fixed length, a
    /// name of any length only at the end. No two contexts have the same.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        match self {
            Self::Secret {
                account_id,
                secret_id,
                revision,
            } => {
                bytes.extend(b"agentopia/secret\0");
                bytes.extend(account_id.as_uuid().as_bytes());
                bytes.extend(secret_id.as_uuid().as_bytes());
                bytes.extend(revision.to_be_bytes());
            }
            Self::RegistryLogin { account_id, id } => {
                bytes.extend(b"agentopia/registry\0");
                bytes.push(u8::from(account_id.is_some()));
                let account = account_id.map_or(Uuid::nil(), AccountId::as_uuid);
                bytes.extend(account.as_bytes());
                bytes.extend(id.as_bytes());
            }
            Self::ControlBearer {
                account_id,
                credential_id,
            } => {
                bytes.extend(b"agentopia/control-bearer\0");
                bytes.extend(account_id.as_uuid().as_bytes());
                bytes.extend(credential_id.as_bytes());
            }
            Self::UpstreamLogin {
                account_id,
                instance_id,
                id,
            } => {
                bytes.extend(b"agentopia/upstream-login\0");
                bytes.extend(account_id.as_uuid().as_bytes());
                bytes.extend(instance_id.as_uuid().as_bytes());
                bytes.extend(id.as_bytes());
            }
            Self::System { name } => {
                bytes.extend(b"agentopia/system\0");
                bytes.extend(name.as_bytes());
            }
        }
        bytes
    }
}
