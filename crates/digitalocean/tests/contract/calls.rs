//! Every operation of the client once.

mod catalogue;
mod droplets;
mod firewalls;
mod keys;
mod projects;
mod tags;

use std::future::Future;

use agentopia_digitalocean::{Client, Error};

pub(crate) use droplets::wish;
pub(crate) use firewalls::{firewall, firewall_id};

/// Calls them all.
///
/// # Panics
/// At the first that fails.
pub(crate) async fn all(client: &Client) {
    catalogue::all(client).await;
    keys::all(client).await;
    droplets::all(client).await;
    firewalls::all(client).await;
    tags::all(client).await;
    projects::all(client).await;
}

/// The result, or the end of the test.
async fn ok<T>(call: impl Future<Output = Result<T, Error>>) -> T {
    call.await
        .unwrap_or_else(|error| panic!("{error}\n{error:#?}"))
}

/// The same for what can be missing and is there.
async fn some<T>(call: impl Future<Output = Result<Option<T>, Error>>) -> T {
    ok(call).await.expect("it is there")
}
