//! The simulator honours DigitalOcean's contract: it runs behind Prism, a validating proxy of
//! `crates/digitalocean/contract/openapi.yaml`, which compares every request and every answer with
//! the contract and lists what does not fit in the header `sl-violations`. A request that is right
//! must have none; one that is wrong on purpose may have its own, but its answer must fit.
//!
//! And DigitalOcean's official Python client, pydo, gets along with it.
//!
//! Wants what `script/prism` and `script/pydo` install: `eval "$(script/prism)"; eval "$(script/pydo)"`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can not go on fails where it stands"
)]

mod operations;
mod prism;
mod pydo;
mod refusals;
mod rig;
mod states;
