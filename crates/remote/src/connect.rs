//! How connections come about: name, judgement and connection in one place, so that nothing can change
//! in between.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use agentopia_http1::Connect;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use url::{Host, Url};

use crate::error::{Refusal, chain};
use crate::policy::RemotePolicy;
use crate::resolve::Resolve;
use crate::tls;

/// How long a connection may take to come about, with name and TLS.
const LIMIT: Duration = Duration::from_secs(10);
/// How long one of several addresses of a name is tried.
const ADDRESS_LIMIT: Duration = Duration::from_secs(4);
/// So many addresses of a name are tried; all of them are judged.
const MOST_TRIED: usize = 4;

/// Scheme, host and port: whom requests go to and whom credentials are for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    is_https: bool,
    host: Host<String>,
    port: u16,
}

impl Origin {
    /// Of an address that was checked to be `http` or `https` and to have host and port.
    pub(crate) fn of(url: &Url) -> Self {
        let host = url.host().map(|host| host.to_owned());
        Self {
            is_https: url.scheme() == "https",
            host: host.unwrap_or_else(|| Host::Domain(String::new())),
            port: url.port_or_known_default().unwrap_or_default(),
        }
    }

    /// The host, for people.
    pub(crate) fn host(&self) -> String {
        self.host.to_string()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Opens connections that the policy allows.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) policy: RemotePolicy,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: OnceCell<Arc<ClientConfig>>,
}

impl Connect for Guarded {
    type Target = Origin;
    type Io = Either<TcpStream, TlsStream<TcpStream>>;

    async fn connect(&self, origin: &Origin) -> io::Result<Self::Io> {
        timeout(LIMIT, self.open(origin))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

impl Guarded {
    /// The addresses of `origin`, each of them judged. The error holds a [`Refusal`] where one of
    /// them may not be called: a name that leads to both kinds is not to be trusted with either.
    pub(crate) async fn judged(&self, origin: &Origin) -> io::Result<Vec<SocketAddr>> {
        let addresses = match &origin.host {
            Host::Ipv4(address) => vec![IpAddr::V4(*address)],
            Host::Ipv6(address) => vec![IpAddr::V6(*address)],
            Host::Domain(name) => self.named(name).await?,
        };
        for address in &addresses {
            if let Err(why) = self.policy.judge(*address, origin.is_https) {
                let host = origin.host();
                tracing::info!(host, %address, ?why, "an address that was entered is not called");
                return Err(io::Error::other(Refusal { host, why }));
            }
        }
        let addresses = addresses.into_iter();
        Ok(addresses
            .map(|address| SocketAddr::new(address, origin.port))
            .collect())
    }

    async fn named(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let nobody = |why: &str| io::Error::other(format!("the name {name} has no address{why}"));
        let found = self.resolver.resolve(name).await;
        let found = found.map_err(|error| nobody(&format!(" ({error})")))?;
        if found.is_empty() {
            return Err(nobody(""));
        }
        Ok(found)
    }

    async fn open(&self, origin: &Origin) -> io::Result<<Self as Connect>::Io> {
        let addresses = self.judged(origin).await?;
        let stream = reach(&addresses).await?;
        if !origin.is_https {
            return Ok(Either::Left(stream));
        }
        let connector = TlsConnector::from(self.tls().await?);
        let stream = connector
            .connect(server_name(origin)?, stream)
            .await
            .map_err(|error| io::Error::other(format!("TLS failed: {}", chain(&error))))?;
        Ok(Either::Right(stream))
    }

    async fn tls(&self) -> io::Result<Arc<ClientConfig>> {
        let made = self.tls.get_or_try_init(|| async {
            tls::config(&self.policy.roots)
                .map(Arc::new)
                .map_err(|error| {
                    io::Error::other(format!(
                        "this machine has no certificates to trust ({error}): install \
                     ca-certificates, or name a file with SSL_CERT_FILE"
                    ))
                })
        });
        made.await.cloned()
    }
}

/// Connects to the first of `addresses` that answers.
async fn reach(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.iter().take(MOST_TRIED) {
        match timeout(ADDRESS_LIMIT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    Err(last)
}

/// The name that the server's certificate has to carry.
fn server_name(origin: &Origin) -> io::Result<ServerName<'static>> {
    let name = match &origin.host {
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_owned();
            ServerName::try_from(name).map_err(io::Error::other)?
        }
    };
    Ok(name)
}
