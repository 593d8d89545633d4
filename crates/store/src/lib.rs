//! The store: every table of the control plane, on SQLite or PostgreSQL (OPS-3).
//!
//! [`Store`] is the way in; each noun has a handle of its own (`store.agents()`,
//! `store.instances()`, …) in a file of its own. What comes out are domain types; the entities
//! and SeaORM stay inside.
//!
//! Four rules hold everywhere:
//!
//! - **Tenants.** A query of an account's data takes the [`AccountId`](agentopia_domain::AccountId)
//!   and is scoped by it: another account's id gives the same [`StoreError::NotFound`] as an
//!   unknown one. What reconcilers and machines read by bare id stands apart, in functions that end
//!   in `_unscoped`.
//! - **Events.** A change and the events that tell of it are one transaction: mutating functions
//!   take the events along. Where nothing changed ([`Changed::changed`] is false), none is written.
//! - **Races.** Intent bumps `generation`; statuses move by conditional updates
//!   (`WHERE status = old`), fenced by the lease of the reconciler that asks ([`leases`]).
//! - **Clocks.** Times come from the [`Ambient`](agentopia_domain::Ambient) clock that was handed
//!   in and are stored as microseconds since 1970 UTC in 64-bit integers, the one form that both
//!   engines keep exactly and sort alike. Leases use the database's clock alone, because the clocks
//!   of two machines are never compared.
//!
//! Where to look next: `migration/` has the tables, `dialect.rs` everything in which the engines
//! differ, `store.rs` how transactions begin and end.

mod account_settings;
mod agents;
mod api_tokens;
mod call_counts;
mod calls;
mod catalog;
mod config;
mod convert;
mod definitions;
mod dialect;
mod dtma_credentials;
mod entity;
mod environments;
mod error;
mod events;
mod gateway;
mod grants;
mod instances;
pub mod leases;
mod legacy;
mod links;
mod metrics;
mod migration;
mod oauth_clients;
mod orphans;
mod registry_logins;
mod seam;
mod secrets;
mod sessions;
mod store;
mod system_secrets;
mod throttle;
mod upstream_logins;
mod users;

pub use account_settings::{AccountSettingsPatch, AccountSettingsStore};
pub use agents::{AgentPatch, Agents, NewAgent};
pub use api_tokens::{ApiTokens, NewApiToken, StoredToken, TokenFilter};
pub use call_counts::CallCounts;
pub use calls::{CallFilter, CallPage, Calls};
pub use catalog::{Catalog, CatalogFilter};
pub use config::{DatabaseConfig, SqliteSync};
pub use definitions::{DefinitionsStore, KnownDefinitions, PinnedTools};
pub use dtma_credentials::{
    CredentialState, DtmaCredential, DtmaCredentials, NewEnrolment, Redemption, Renewal,
    RenewalOutcome,
};
pub use environments::{
    EnvironmentPatch, Environments, MachineHeartbeat, NewEnvironment, Placement,
};
pub use error::{DatabaseFailure, StoreError};
pub use events::{EventFilter, EventPage, EventScope, Events};
pub use gateway::GatewaySnapshot;
pub use grants::{
    Code, FoundToken, GrantFilter, GrantTokenKind, Grants, LoginToken, NewGrant, NewGrantToken,
};
pub use instances::{
    Idleness, InstanceFilter, InstanceIntent, InstancePatch, InstanceReport, Instances,
    NewInstance, Reconfigure, VersionStep,
};
pub use leases::{Claim, LeaseKind, LeaseToken, Leases};
pub use legacy::read_legacy;
pub use links::{LinkFilter, LinkPatch, Links, NewLink};
pub use metrics::Metrics;
pub use oauth_clients::{NewOauthClient, OauthClient, OauthClients};
pub use orphans::Orphans;
pub use registry_logins::{RegistryLogin, RegistryLogins};
pub use seam::{Access, CutOff, Seam, Turn};
pub use secrets::{NewSecret, SealedSecret, Secrets};
pub use sessions::{NewSession, Session, Sessions};
pub use store::{Changed, SchemaState, Store};
pub use system_secrets::SystemSecrets;
pub use throttle::{ThrottleRule, Throttled, Throttling};
pub use upstream_logins::{
    LoginAttempt, LoginProblem, NewLoginTokens, RenewedTokens, UpstreamLogin, UpstreamLogins,
};
pub use users::{NewUser, UserCredentials, Users};
