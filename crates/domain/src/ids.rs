//! One type for each kind of id, so that an agent's id can't be passed where an instance's is
//! meant. All are UUIDs of version 7: they sort by the time they were made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = uuid::Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// The bare UUID, for the database and the wire.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::from_str(text).map(Self)
            }
        }
    )+};
}

typed_ids! {
    /// A user's tenant. Every user has one account, with the same UUID as the user.
    AccountId,
    /// A person who can sign in.
    UserId,
    /// A browser session of a user.
    SessionId,
    /// A personal or an agent token.
    ApiTokenId,
    /// The one machine of an account.
    EnvironmentId,
    /// A blueprint of a tool.
    CatalogEntryId,
    /// A running copy of a catalog entry.
    InstanceId,
    /// An AI agent that a user owns.
    AgentId,
    /// The permission of an agent to use an instance.
    LinkId,
    /// A value in the vault.
    SecretId,
    /// The credentials of a machine's DTMA.
    CredentialId,
    /// An entry of the timeline.
    EventId,
    /// Something at a provider that belongs to nobody.
    OrphanId,
    /// A grant: what a person allowed an MCP client.
    GrantId,
}

impl From<UserId> for AccountId {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}
