//! What the gateway is given by the control plane, see the seams in `agentopia_gateway`.
//!
//! * `ask`: what a new version of a tool offers;
//! * [`audit`]: what is remembered of every call;
//! * [`connector`]: HTTP to an instance, through its machine's DTMA;
//! * `definitions`: what servers say of their tools, and when it changes;
//! * [`names`]: exposed names, kept in the links;
//! * [`people`]: lets owners use the endpoint of their own instances;
//! * [`remote`]: servers that run elsewhere, with their credentials (`remote_sse`: those that speak HTTP+SSE);
//! * [`sleep`]: wakes instances for a call;
//! * [`last_lists`]: what tools that sleep listed last;
//! * [`typed`]: the calls that the product makes itself (`tools call`, discovery).

mod ask;
pub mod audit;
pub mod connector;
pub(crate) mod definitions;
pub mod last_lists;
pub mod names;
pub mod people;
pub mod remote;
mod remote_login;
mod remote_sse;
mod remote_typed;
pub mod restarts;
pub mod sleep;
pub mod typed;
