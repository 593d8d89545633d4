//! The guard in front of real listeners: what is called, what is not, and what comes of attacks.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stand outside of `#[test]` functions"
)]

mod attacks;
mod documents;
mod rig;
mod tls;
