//! A simulator of DigitalOcean's API v2: the part that the product calls, honouring the contract
//! (`crates/digitalocean/contract/openapi.yaml`), and stricter than it where the real API is.
//!
//! Everything that a client has to survive can be made to happen here, on purpose and again: slow and
//! lagging resources, droplets that vanish or never come up, actions that fail, rate limits, gateways
//! that fail before or after the side effect, answers that never arrive. The same seed and the same
//! requests at the same times give the same bytes.
//!
//! It runs in two ways:
//!
//! * as a program, `digitalocean-sim`, with the API on one address ([`serve`]) and everything a test
//!   wants to see and steer on another ([`admin_router`], described in `README.md`);
//! * in a test's own process: [`router`] is an ordinary [`axum::Router`] to be called by tower's
//!   `oneshot`, without a socket, under whatever clock was handed in. What the network does to an
//!   answer is a response extension then ([`AnswerLost`]).
//!
//! ```
//! # use std::sync::Arc;
//! # use agentopia_domain::SystemClock;
//! use digitalocean_sim::{Options, Simulator, FULL_TOKEN, router};
//! use tower::ServiceExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let simulator = Simulator::new(Options::new(7, Arc::new(SystemClock)));
//! let request = axum::http::Request::get("/v2/account")
//!     .header("authorization", format!("Bearer {FULL_TOKEN}"))
//!     .body(axum::body::Body::empty());
//! let answer = router(simulator).oneshot(request.unwrap()).await.unwrap();
//! assert_eq!(answer.status(), 200);
//! # }
//! ```
//!
//! Where to look next, inside out: `state` (what an account does; pure), [`Simulator`] (the state
//! behind a lock, its clock, its machines), `http` (the API), `admin` (the other address), [`serve`]
//! (sockets). Beside them: [`settings`] (what is unsettled or takes time), [`faults`] (what goes
//! wrong), [`machines`] (what stands behind droplets), [`journal`] (what was asked).

mod admin;
mod clock;
mod dice;
pub mod faults;
mod http;
pub mod journal;
pub mod machines;
mod refusal;
pub mod serve;
pub mod settings;
mod simulator;
mod state;

pub use admin::admin_router;
pub use clock::{ClockReading, SteeredClock};
pub use faults::{AnswerLost, FaultPlan};
pub use http::router;
pub use refusal::{Refusal, RefusalKind};
pub use settings::{FULL_TOKEN, READ_TOKEN, Settings, Token};
pub use simulator::{Options, Simulator, keep};
pub use state::{ActionId, DropletId, DropletView};
