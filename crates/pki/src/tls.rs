//! TLS configurations for both directions between control plane and machines.
//!
//! TLS 1.3 only: both ends are ours.

mod verify;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ServerConfig};

use crate::{CONTROL_PLANE_HOST, MachineKey, PkiError};
use verify::{AnyMachine, NamedClient, NamedServer};

/// How the authority of the other side is known.
#[derive(Debug, Clone)]
pub enum CaTrust {
    /// Its certificate, from an enrolment.
    Pem(String),
    /// SHA-256 of its certificate, lower-case hex, from user-data: for the first contact. The
    /// other side has to send the certificate along.
    Fingerprint(String),
}

/// For the DTMA's listener: lets in only the control plane.
///
/// # Errors
/// When certificate, key and CA don't fit together.
pub fn machine_server_config(
    certificate_pem: &str,
    key: &MachineKey,
    ca_pem: &str,
) -> Result<Arc<ServerConfig>, PkiError> {
    let verifier = NamedClient::new(ca_pem, CONTROL_PLANE_HOST)?;
    server_config(certificate_pem, key, ca_pem, Arc::new(verifier))
}

/// For the control plane's listener for machines: any machine of ours, or a caller without a
/// certificate (enrolment and renewal). Which serials still count is checked per request.
///
/// # Errors
/// When certificate, key and CA don't fit together.
pub fn control_plane_server_config(
    certificate_pem: &str,
    key: &MachineKey,
    ca_pem: &str,
) -> Result<Arc<ServerConfig>, PkiError> {
    let verifier = AnyMachine::new(ca_pem)?;
    server_config(certificate_pem, key, ca_pem, Arc::new(verifier))
}

/// For a DTMA that calls the control plane, with its certificate once it has one.
///
/// # Errors
/// When certificate and key don't fit together.
pub fn machine_client_config(
    identity: Option<(&str, &MachineKey)>,
    trust: &CaTrust,
) -> Result<ClientConfig, PkiError> {
    client_config(identity, trust, CONTROL_PLANE_HOST)
}

/// For the control plane that calls the machine whose certificate has the name `machine_host`.
///
/// # Errors
/// When certificate and key don't fit together.
pub fn control_plane_client_config(
    certificate_pem: &str,
    key: &MachineKey,
    ca_pem: &str,
    machine_host: &str,
) -> Result<ClientConfig, PkiError> {
    client_config(
        Some((certificate_pem, key)),
        &CaTrust::Pem(ca_pem.to_owned()),
        machine_host,
    )
}

fn client_config(
    identity: Option<(&str, &MachineKey)>,
    trust: &CaTrust,
    expected_host: &str,
) -> Result<ClientConfig, PkiError> {
    let verifier = NamedServer::new(trust, expected_host)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some((pem, key)) => builder.with_client_auth_cert(chain(pem)?, key.to_rustls())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn server_config(
    certificate_pem: &str,
    key: &MachineKey,
    ca_pem: &str,
    verifier: Arc<dyn rustls::server::danger::ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, PkiError> {
    // The CA goes along so that a machine that knows only its fingerprint can check it.
    let mut certificates = chain(certificate_pem)?;
    certificates.extend(chain(ca_pem)?);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key.to_rustls())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PkiError::malformed("certificate", error))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
