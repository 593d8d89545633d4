//! A TCP proxy on loopback that can be taken away: a registry that is down, a load balancer in
//! front of replicas. Passes bytes on, TLS or not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// See the module's header. Connections under way end when it is taken away.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    tasks: JoinSet<()>,
}

impl Proxy {
    /// On `port`, to the first of `targets` that takes the connection. Down until [`Self::up`].
    #[must_use]
    pub fn new(port: u16, targets: &[SocketAddr]) -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            targets: Arc::new(Mutex::new(targets.to_vec())),
            tasks: JoinSet::new(),
        }
    }

    /// `host:port`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts listening.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.address)
            .await
            .with_context(|| format!("{} is taken", self.address))?;
        let targets = Arc::clone(&self.targets);
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let targets = targets.lock().clone();
                connections.spawn(pass(client, targets));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(())
    }

    /// Stops listening, and cuts every connection.
    pub async fn down(&mut self) {
        self.tasks.shutdown().await;
    }
}

async fn pass(mut client: TcpStream, targets: Vec<SocketAddr>) {
    for target in targets {
        if let Ok(mut server) = TcpStream::connect(target).await {
            // Either side may end it at any time.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
