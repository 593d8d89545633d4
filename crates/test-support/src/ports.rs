//! Ports for programs that have to keep theirs over restarts: chosen below the range from which
//! the kernel takes ports for outgoing connections, so that nobody takes one while its owner is
//! dead.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use agentopia_domain::Ambient;
use parking_lot::Mutex;

const FIRST: u16 = 20_000;
const BLOCKS: u16 = 600;
/// One block for each cluster: two replicas and a few machines.
const BLOCK: u16 = 20;

/// Blocks given to clusters of this process: a cluster does not listen on all of its ports at once.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// The first port of a block of which nobody listens on any.
///
/// # Errors
/// When there is none.
pub fn block() -> anyhow::Result<u16> {
    let start = u16::from_le_bytes(Ambient::system().random::<2>()) % BLOCKS;
    (0..BLOCKS)
        .map(|offset| FIRST + (start + offset) % BLOCKS * BLOCK)
        .find(|first| (*first..first + BLOCK).all(is_free) && GIVEN.lock().insert(*first))
        .ok_or_else(|| anyhow::anyhow!("no {BLOCK} free ports in a row from {FIRST} on"))
}

/// Whether nobody listens there on loopback.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
