//! Machines against the real listener, over real mutual TLS: enrolment, renewal, clones, and what a
//! machine may not ask. The machine's side is the DTMA's own client.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on fails where it stands"
)]

mod adoption;
mod credentials;
mod droplets;
mod first_start;
mod foreign;
mod installation;
mod lifecycle;
mod orphans;
mod own_secrets;
mod ports;
mod replicas;
mod scaling;
mod scopes;
mod told;
mod update;
mod verification;
