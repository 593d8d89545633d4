//! The installation's certificate authority, and the control plane's own certificate under it.
//!
//! The CA is made at the first start and kept in the store, sealed by the vault. Replicas that
//! start at the same time all end up with the one that was stored first. Each replica has a
//! certificate of its own, which lives for a day and is renewed at a third of that.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::Ambient;
use agentopia_pki::tls::control_plane_server_config;
use agentopia_pki::{CertificateAuthority, MachineKey};
use agentopia_store::Store;
use agentopia_vault::Vault;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::installation;

const CA_NAME: &str = "machine-ca";
/// How long a certificate of the control plane or of a machine lives.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The certificate that this replica shows, with its key.
#[derive(Debug)]
pub struct OwnCertificate {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// Its key.
    pub key: MachineKey,
    /// Grows with every renewal, so that what was built on an older one is seen to be stale.
    pub number: u64,
}

/// The CA and this replica's current certificate.
#[derive(Debug)]
pub struct Authority {
    /// Signs machines' certificates.
    pub ca: CertificateAuthority,
    own: watch::Sender<Arc<OwnCertificate>>,
    ambient: Ambient,
}

impl Authority {
    /// Loads the CA, or makes it at the first start.
    ///
    /// # Errors
    /// When the store or the vault can't be used.
    pub async fn open(store: &Store, vault: &dyn Vault, ambient: Ambient) -> anyhow::Result<Self> {
        let make = || Ok(CertificateAuthority::generate(&ambient)?.to_pem());
        let pem = installation::secret(store, vault, CA_NAME, make).await?;
        let ca = CertificateAuthority::from_pem(&pem)?;
        let own = watch::channel(Arc::new(issue(&ca, &ambient, 0)?)).0;
        Ok(Self { ca, own, ambient })
    }

    /// The certificate to show now.
    #[must_use]
    pub fn own(&self) -> Arc<OwnCertificate> {
        Arc::clone(&self.own.borrow())
    }

    /// The configuration of the listener for machines, always with the current certificate.
    ///
    /// # Errors
    /// When the certificate can't be used, which a test would have shown.
    pub fn server_config(&self) -> anyhow::Result<watch::Receiver<Arc<ServerConfig>>> {
        let build = |own: &OwnCertificate, ca_pem: &str| {
            control_plane_server_config(&own.certificate_pem, &own.key, ca_pem)
        };
        let ca_pem = self.ca.certificate_pem().to_owned();
        let mut own = self.own.subscribe();
        let first = build(&own.borrow_and_update(), &ca_pem)?;
        let (sender, receiver) = watch::channel(first);
        tokio::spawn(async move {
            while own.changed().await.is_ok() {
                match build(&own.borrow_and_update(), &ca_pem) {
                    Ok(config) => {
                        sender.send_replace(config);
                    }
                    Err(error) => tracing::error!(%error, "the renewed certificate can't be used"),
                }
            }
        });
        Ok(receiver)
    }

    /// Renews the own certificate in time, until `shutdown`.
    pub async fn keep_own_certificate(&self, shutdown: CancellationToken) {
        let mut number = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(CERTIFICATE_LIFETIME / 3) => {}
                () = shutdown.cancelled() => return,
            }
            number += 1;
            match issue(&self.ca, &self.ambient, number) {
                Ok(renewed) => {
                    self.own.send_replace(Arc::new(renewed));
                }
                Err(error) => tracing::error!(%error, "the own certificate can't be renewed"),
            }
        }
    }
}

fn issue(
    ca: &CertificateAuthority,
    ambient: &Ambient,
    number: u64,
) -> anyhow::Result<OwnCertificate> {
    let (issued, key) = ca.issue_control_plane(CERTIFICATE_LIFETIME, ambient)?;
    Ok(OwnCertificate {
        certificate_pem: issued.certificate_pem,
        key,
        number,
    })
}
