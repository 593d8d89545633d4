//! On which addresses a container listens, as the kernel tells of the network of its first process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use procfs::ProcResult;
use procfs::net::TcpState;
use procfs::process::Process;

/// Where the engine's own resolver is in every network that is not the default one.
const ENGINES_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// Of the network that the process `pid` is in; in the order of their ports. Blocks.
pub(super) fn of(pid: i32) -> ProcResult<Vec<SocketAddr>> {
    let process = Process::new(pid)?;
    // A machine can be without IPv6.
    let sockets = process.tcp()?.into_iter();
    let sockets = sockets.chain(process.tcp6().unwrap_or_default());
    let mut found: Vec<SocketAddr> = sockets
        .filter(|socket| socket.state == TcpState::Listen)
        .map(|socket| socket.local_address)
        .filter(|address| address.ip() != ENGINES_RESOLVER)
        .collect();
    found.sort_by_key(|address| (address.port(), address.ip()));
    found.dedup();
    Ok(found)
}
