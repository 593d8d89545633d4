//! The address that machines are told to call: whether our own listener answers there, with our own
//! certificate. Nothing but the handshake is done, as a machine would do it.

use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_domain::verification::Check;
use agentopia_pki::PeerCertificate;
use agentopia_pki::tls::{CaTrust, machine_client_config};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::config::Config;
use crate::machines::Authority;

pub(super) const NAME: &str = "control_plane.machine_address";
/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn check(config: &Config, authority: &Authority, ambient: &Ambient) -> Check {
    let address = config.dtma_url();
    match reach(&address, authority).await {
        Ok(certificate) => {
            let left = certificate.not_after - ambient.now();
            Check::ok(
                NAME,
                format!(
                    "{address} is ours; its certificate is renewed by itself, the present one lasts \
                     {} more hours",
                    left.num_hours()
                ),
            )
        }
        Err(problem) => Check::failed(NAME, format!("{address}: {problem}")),
    }
}

/// The certificate that is shown there, or what is wrong and what to do.
async fn reach(address: &str, authority: &Authority) -> Result<PeerCertificate, String> {
    let url =
        Url::parse(address).map_err(|_| "set `dtma_advertise_url` to an address".to_owned())?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err("set `dtma_advertise_url` to https://HOST:PORT".to_owned());
    };
    // An IPv6 address stands in brackets in a URL only.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<_> = found
        .map_err(|error| {
            format!(
                "the name {host} has no address ({error}): make a DNS record for it, or set \
                 `dtma_advertise_url` to another one"
            )
        })?
        .collect();
    let connected = timeout(CONNECT_LIMIT, TcpStream::connect(&*addresses)).await;
    let closed = |why: String| {
        format!(
            "nobody can be reached there from the control plane itself ({why}): look at \
             `dtma_listen`, at `dtma_advertise_url`, and at firewalls on the way"
        )
    };
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(closed(error.to_string())),
        Err(_) => {
            return Err(closed(format!(
                "no answer in {} s",
                CONNECT_LIMIT.as_secs()
            )));
        }
    };
    shake_hands(stream, authority).await.map_err(|error| {
        format!(
            "what answers there does not show this installation's certificate ({error}): let \
             connections through to `dtma_listen` as they are, and let no proxy on the way end \
             their TLS"
        )
    })
}

async fn shake_hands(
    stream: TcpStream,
    authority: &Authority,
) -> Result<PeerCertificate, Box<dyn std::error::Error + Send + Sync>> {
    let trust = CaTrust::Pem(authority.ca.certificate_pem().to_owned());
    let config = machine_client_config(None, &trust)?;
    let name = ServerName::try_from(agentopia_pki::CONTROL_PLANE_HOST)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await?;
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(|all| all.first());
    let shown = shown.ok_or("it shows none")?;
    Ok(PeerCertificate::parse(shown)?)
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
