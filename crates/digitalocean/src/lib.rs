//! A typed client of DigitalOcean's API v2: the part that Agentopia calls, and what it takes to
//! call it without making a droplet twice or leaving one behind.
//!
//! ```text
//! droplets, firewalls, tags, …   one file per resource: requests and answers as types
//! client                         a call: leave from the budget, one request, judge the answer
//! budget · retry · error · page  the limits, what is sent again, what failures mean, lists
//! transport                      the seam: reqwest, or a simulation in this process
//! ```
//!
//! What to know before calling it:
//!
//! * A droplet is asked for once ([`droplets::DropletsApi::create`]). [`Error`] says after every
//!   failure whether the droplet may exist.
//! * Nothing is "not found" unless DigitalOcean itself says so ([`Error::is_not_found`]).
//! * All users of a token share one [`Budget`].
//! * Time is waited for with `tokio::time` only, and times of day and randomness come from
//!   [`agentopia_domain::Ambient`], so a paused clock and a seed make a run repeatable.
//!
//! The contract that it is checked against is `contract/openapi.yaml`; `contract/README.md` says
//! where that comes from. On top of it stands [`provider`], with its waiting and cleaning up.

pub mod account;
pub mod actions;
mod budget;
mod client;
pub mod droplets;
mod endpoint;
mod envelope;
mod error;
pub mod firewalls;
mod ids;
pub mod images;
mod input;
pub mod keys;
mod open_enum;
mod page;
pub mod projects;
pub mod provider;
pub mod regions;
mod retry;
pub mod sizes;
pub mod tags;
mod transport;

#[cfg(test)]
mod testing;

pub use budget::{Budget, Limits, Urgency};
pub use client::{ANSWER_LIMIT, Client, InvalidToken, PATIENCE, Removal};
pub use endpoint::{Endpoint, EndpointError};
pub use envelope::Resource;
pub use error::{Error, Failure, LimitedBy, RateLimited, Reason};
pub use ids::{ActionId, DropletId, FirewallId, ImageId, KeyId, ProjectId};
pub use input::{
    DropletName, FirewallName, InputError, MAX_NAME, MAX_USER_DATA, TagName, UserData,
};
pub use page::Pages;
pub use transport::{HttpsTransport, Sent, SetupError, Transport, TransportError};
