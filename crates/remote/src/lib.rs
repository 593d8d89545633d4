//! An HTTP client for addresses that people enter: remote MCP servers, metadata documents of OAuth
//! clients (SEC-7). Whoever may enter an address could otherwise make the control plane call its own
//! network, the cloud's metadata service or itself (server-side request forgery).
//!
//! What it holds to, for every request:
//! * a name is resolved here, every address of it is classified, and one that the operator did not
//!   allow refuses them all;
//! * the connection goes to an address that was classified, in the same breath: there is no second
//!   look-up that could answer something else (DNS rebinding);
//! * `https` unless the operator allowed the very network; no user and password in addresses;
//! * no redirect is followed and no proxy of the environment is used;
//! * connecting, heads and documents have limits in time and size.
//!
//! Where to look: [`RemoteUrl`] is an address that may be tried, [`Network`] what kinds of addresses
//! there are, [`RemotePolicy`] decides (pure), [`RemoteClient`] acts. Connections and their reuse are
//! `agentopia-http1`'s; a connection that is kept for the next request was checked when it was made,
//! and the policy does not change while the process runs.

mod client;
mod connect;
mod error;
mod network;
mod policy;
mod resolve;
mod tls;
mod url;

pub use client::{RemoteBody, RemoteClient};
pub use connect::Origin;
pub use error::{Refusal, RemoteError};
pub use network::Network;
pub use policy::{RemotePolicy, Why};
pub use resolve::{Resolve, SystemResolver};
pub use url::{RemoteUrl, UrlProblem};
