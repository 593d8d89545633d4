//! Who is on the other end: the certificate comes from our CA and carries the name we expect,
//! whatever address was dialled.
//!
//! The chain building, dates and signatures are rustls' own verifiers'; added here are only the
//! fixed name and, for the first contact, finding the CA by its fingerprint.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

use super::{CaTrust, chain, provider};
use crate::authority::fingerprint;
use crate::certificate::PeerCertificate;
use crate::{PkiError, environment_of};

fn roots(
    certificates: impl IntoIterator<Item = CertificateDer<'static>>,
) -> Result<Arc<RootCertStore>, Error> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate)?;
    }
    Ok(Arc::new(store))
}

fn server_verifier(ca: CertificateDer<'static>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    WebPkiServerVerifier::builder_with_provider(roots([ca])?, provider())
        .build()
        .map_err(|error| Error::General(error.to_string()))
}

/// Checks a server against a fixed name.
#[derive(Debug)]
pub(super) struct NamedServer {
    name: ServerName<'static>,
    known: Known,
}

#[derive(Debug)]
enum Known {
    Authority(Arc<WebPkiServerVerifier>),
    Fingerprint(String),
}

impl NamedServer {
    pub(super) fn new(trust: &CaTrust, host: &str) -> Result<Self, PkiError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| PkiError::malformed("expected server name", error))?;
        let known = match trust {
            CaTrust::Pem(pem) => {
                let ca = chain(pem)?.into_iter().next();
                let ca = ca.ok_or_else(|| PkiError::malformed("CA certificate", "it is empty"))?;
                Known::Authority(server_verifier(ca)?)
            }
            CaTrust::Fingerprint(hex) => Known::Fingerprint(hex.to_ascii_lowercase()),
        };
        Ok(Self { name, known })
    }
}

impl ServerCertVerifier for NamedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = match &self.known {
            Known::Authority(verifier) => Arc::clone(verifier),
            Known::Fingerprint(expected) => {
                let ca = intermediates.iter().find(|ca| fingerprint(ca) == *expected);
                let ca = ca.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
                server_verifier(ca.clone().into_owned())?
            }
        };
        verifier.verify_server_cert(end_entity, &[], &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A client of our CA whose certificate satisfies a test on its names.
#[derive(Debug)]
struct CheckedClient {
    inner: Arc<dyn ClientCertVerifier>,
    mandatory: bool,
}

impl CheckedClient {
    fn new(ca_pem: &str, mandatory: bool) -> Result<Self, PkiError> {
        let builder =
            WebPkiClientVerifier::builder_with_provider(roots(chain(ca_pem)?)?, provider());
        let builder = if mandatory {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        let inner = builder
            .build()
            .map_err(|error| PkiError::malformed("CA certificate", error))?;
        Ok(Self { inner, mandatory })
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        accepts: impl Fn(&str) -> bool,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .inner
            .verify_client_cert(end_entity, intermediates, now)?;
        let peer = PeerCertificate::parse(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if peer.dns_names.iter().any(|name| accepts(name)) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }
}

/// Lets in one name and nothing else.
#[derive(Debug)]
pub(super) struct NamedClient {
    client: CheckedClient,
    name: String,
}

impl NamedClient {
    pub(super) fn new(ca_pem: &str, name: &str) -> Result<Self, PkiError> {
        Ok(Self {
            client: CheckedClient::new(ca_pem, true)?,
            name: name.to_owned(),
        })
    }
}

/// Lets in machines, and callers without a certificate.
#[derive(Debug)]
pub(super) struct AnyMachine {
    client: CheckedClient,
}

impl AnyMachine {
    pub(super) fn new(ca_pem: &str) -> Result<Self, PkiError> {
        Ok(Self {
            client: CheckedClient::new(ca_pem, false)?,
        })
    }
}

macro_rules! checked_client_verifier {
    ($type:ty, |$this:ident, $name:ident| $accepts:expr) => {
        impl ClientCertVerifier for $type {
            fn root_hint_subjects(&self) -> &[DistinguishedName] {
                self.client.inner.root_hint_subjects()
            }

            fn client_auth_mandatory(&self) -> bool {
                self.client.mandatory
            }

            fn verify_client_cert(
                &self,
                end_entity: &CertificateDer<'_>,
                intermediates: &[CertificateDer<'_>],
                now: UnixTime,
            ) -> Result<ClientCertVerified, Error> {
                let $this = self;
                self.client
                    .verify(end_entity, intermediates, now, |$name| $accepts)
            }

            fn verify_tls12_signature(
                &self,
                message: &[u8],
                cert: &CertificateDer<'_>,
                dss: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                self.client.inner.verify_tls12_signature(message, cert, dss)
            }

            fn verify_tls13_signature(
                &self,
                message: &[u8],
                cert: &CertificateDer<'_>,
                dss: &DigitallySignedStruct,
            ) -> Result<HandshakeSignatureValid, Error> {
                self.client.inner.verify_tls13_signature(message, cert, dss)
            }

            fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
                self.client.inner.supported_verify_schemes()
            }
        }
    };
}

checked_client_verifier!(NamedClient, |this, name| name == this.name);
checked_client_verifier!(AnyMachine, |_this, name| environment_of(name).is_some());
