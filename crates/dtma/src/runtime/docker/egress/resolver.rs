//! The resolver of one instance: on the gateway's address of its network, for UDP and TCP.
//!
//! What it does not know how to read it does not answer. It asks the machine's own name servers, or those
//! of the configuration, and lets an address through before it tells the tool of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Held;
use super::decision::{Decision, answer, decide, sift};

/// Questions of one instance that are answered at the same time; more are dropped, as resolvers do.
const AT_ONCE: usize = 64;
/// For how long a tool may use an answer, at most: then it asks again.
const LONGEST: u32 = 300;
/// Programs use answers longer than they should.
const SHORTEST_HELD: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(30);
/// How long a connection may take for a question.
const TCP_PATIENCE: Duration = Duration::from_secs(10);
/// How many questions one connection may ask.
const TCP_QUESTIONS: usize = 100;
/// How often an address that is taken is tried, and the pause before the next try: the kernel tells nobody when
/// it is free.
const BINDS: u32 = 20;
const BIND_PAUSE: Duration = Duration::from_millis(100);
/// The longest question that is read over UDP.
const LONGEST_QUESTION: usize = 1500;

/// Where names are looked up.
#[derive(Debug)]
pub(in super::super) struct Upstream(Result<TokioResolver, String>);

impl Upstream {
    /// These servers, or those of the machine if there are none.
    pub(in super::super) fn new(servers: &[SocketAddr]) -> Self {
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let servers = servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.to_vec())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            let provider = TokioRuntimeProvider::default();
            Ok(TokioResolver::builder_with_config(config, provider))
        };
        let resolver = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            options.ip_strategy = LookupIpStrategy::Ipv4Only;
            builder.build()
        });
        // Told when somebody asks: most machines have no tool that does.
        Self(resolver.map_err(|error| error.to_string()))
    }

    /// The addresses of a name and for how long they hold, or what to say instead.
    async fn find(&self, name: &str) -> Result<(Vec<Ipv4Addr>, u32), ResponseCode> {
        let resolver = self.0.as_ref().map_err(|error| {
            tracing::warn!(%error, "the machine's name servers are not known: see /etc/resolv.conf");
            ResponseCode::ServFail
        })?;
        // With the dot: the machine's search domains are none of the tool's.
        match resolver.lookup_ip(format!("{name}.")).await {
            Ok(found) => {
                let addresses = found.iter().filter_map(|address| match address {
                    IpAddr::V4(address) => Some(address),
                    IpAddr::V6(_) => None,
                });
                let records = found.as_lookup().answers().iter();
                let seconds = records
                    .filter(|record| matches!(record.data, RData::A(_)))
                    .map(|record| record.ttl)
                    .min();
                Ok((addresses.collect(), seconds.unwrap_or(0).min(LONGEST)))
            }
            Err(error) if error.is_nx_domain() => Err(ResponseCode::NXDomain),
            Err(error) if error.is_no_records_found() => Ok((Vec::new(), 0)),
            Err(error) => {
                tracing::debug!(name, %error, "a name can't be looked up");
                Err(ResponseCode::ServFail)
            }
        }
    }
}

/// Begins to serve; until `stop`.
pub(super) async fn serve(
    held: Arc<Held>,
    upstream: Arc<Upstream>,
    stop: CancellationToken,
) -> Result<(), String> {
    let address = SocketAddr::from((held.place.gateway, 53));
    let failed = |error: std::io::Error| {
        format!(
            "the tool's name server can't listen on {address}: {error}; what else listens on port 53?"
        )
    };
    let (udp, tcp) = bind(address).await.map_err(failed)?;
    let udp = Arc::new(udp);
    let server = Server {
        held,
        upstream,
        room: Arc::new(Semaphore::new(AT_ONCE)),
    };
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = server.serve_udp(&udp) => {}
            () = server.serve_tcp(&tcp) => {}
        }
    });
    Ok(())
}

/// The one before may need a moment to let go.
async fn bind(address: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let both = || async {
        let udp = UdpSocket::bind(address).await?;
        Ok::<_, std::io::Error>((udp, TcpListener::bind(address).await?))
    };
    for _ in 0..BINDS {
        match both().await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(BIND_PAUSE).await;
            }
            bound => return bound,
        }
    }
    both().await
}

#[derive(Debug, Clone)]
struct Server {
    held: Arc<Held>,
    upstream: Arc<Upstream>,
    room: Arc<Semaphore>,
}

impl Server {
    async fn serve_udp(&self, socket: &Arc<UdpSocket>) {
        let mut buffer = [0; LONGEST_QUESTION];
        loop {
            let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
                // Such as an answer that could not be delivered.
                tokio::task::yield_now().await;
                continue;
            };
            let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
                continue;
            };
            if !self.is_ours(peer) {
                continue;
            }
            let question = buffer[..length].to_vec();
            let (server, socket) = (self.clone(), Arc::clone(socket));
            tokio::spawn(async move {
                if let Some(answer) = server.answer(&question).await {
                    // Whoever does not get it asks again.
                    let _ = socket.send_to(&answer, peer).await;
                }
                drop(room);
            });
        }
    }

    async fn serve_tcp(&self, listener: &TcpListener) {
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                // No file descriptors are left, or the like: a pause, so as not to spin.
                tokio::time::sleep(BIND_PAUSE).await;
                continue;
            };
            let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
                continue;
            };
            if !self.is_ours(peer) {
                continue;
            }
            let server = self.clone();
            tokio::spawn(async move {
                // However it ends, the tool sees it.
                let _ = server.converse(stream).await;
                drop(room);
            });
        }
    }

    async fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        for _ in 0..TCP_QUESTIONS {
            let length = timeout(TCP_PATIENCE, stream.read_u16()).await??;
            let mut question = vec![0; usize::from(length)];
            timeout(TCP_PATIENCE, stream.read_exact(&mut question)).await??;
            let Some(answer) = self.answer(&question).await else {
                break;
            };
            let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
            let framed = [&length.to_be_bytes()[..], &answer].concat();
            timeout(TCP_PATIENCE, stream.write_all(&framed)).await??;
        }
        Ok(())
    }

    /// Nobody but the instance asks here.
    fn is_ours(&self, peer: SocketAddr) -> bool {
        matches!(peer.ip(), IpAddr::V4(address) if self.held.place.subnet.contains(address))
    }

    async fn answer(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let question = Message::from_vec(bytes).ok()?;
        let decision = decide(&self.held.state.lock().policy, &question);
        let (name, ports) = match decision {
            Decision::Silence => return None,
            Decision::Say(code) => return answer(&question, code, &[], 0).to_vec().ok(),
            Decision::Ask { name, ports } => (name, ports),
        };
        let (found, seconds) = match self.upstream.find(&name).await {
            Ok(found) => found,
            Err(code) => return answer(&question, code, &[], 0).to_vec().ok(),
        };
        let held_for = Duration::from_secs(seconds.into()).max(SHORTEST_HELD) + GRACE;
        let (good, bad, is_new) = {
            let mut state = self.held.state.lock();
            // The policy may be another one by now.
            if state.policy.ports_of(&name) != ports {
                return None;
            }
            let (good, bad) = sift(&state.policy, found);
            let ways = good.iter().flat_map(|address| {
                let ways = ports.iter();
                ways.map(move |(protocol, port)| (*address, *protocol, *port))
            });
            let is_new = state.learned.learn(ways, Instant::now() + held_for);
            (good, bad, is_new)
        };
        if let Some(address) = bad {
            tracing::warn!(
                instance = %self.held.id, name, %address,
                "a name that the tool may reach leads to an address that it may not: name the address's \
                 network in the policy if it should"
            );
        }
        if is_new && let Err(error) = self.held.write().await {
            tracing::warn!(instance = %self.held.id, name, %error, "the name's addresses are not let through");
            return answer(&question, ResponseCode::ServFail, &[], 0)
                .to_vec()
                .ok();
        }
        // Another question may have learnt the same just now: its rules have to be there first.
        drop(self.held.writing.lock().await);
        answer(&question, ResponseCode::NoError, &good, seconds)
            .to_vec()
            .ok()
    }
}
