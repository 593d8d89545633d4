//! The control plane's own certificate authority.
//!
//! It signs two kinds of certificates and nothing else: machines' (by a request whose contents
//! other than the key are ignored) and the control plane's. Which serials are still accepted is
//! the database's matter, not that of a revocation list.

use std::fmt;
use std::time::Duration;

use agentopia_domain::{Ambient, EnvironmentId};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::certificate::serial_hex;
use crate::{CONTROL_PLANE_HOST, MachineKey, PkiError, machine_host};

/// How long the authority itself lasts.
const AUTHORITY_DAYS: i64 = 3650;
/// Certificates begin this long before now, for machines whose clock is a little behind.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// The authority: its certificate and its key.
pub struct CertificateAuthority {
    certificate_pem: String,
    certificate_der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("fingerprint", &self.fingerprint())
            .finish()
    }
}

/// A certificate just issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// Its serial number, lower-case hex.
    pub serial_hex: String,
    /// The public key it is for, as [`crate::verify_signature`] takes it.
    pub public_key: Vec<u8>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

impl CertificateAuthority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// When the kernel has no randomness.
    pub fn generate(ambient: &Ambient) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let now = ambient.now();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Agentopia control plane CA");
        params.serial_number = Some(SerialNumber::from_slice(&positive(ambient.random::<16>())));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = offset(now - CLOCK_SKEW)?;
        params.not_after = offset(now + TimeDelta::days(AUTHORITY_DAYS))?;
        let certificate = params.self_signed(&key)?;
        Self::assemble(certificate.pem(), key)
    }

    /// Reads what [`Self::to_pem`] wrote.
    ///
    /// # Errors
    /// When either part is missing or damaged.
    pub fn from_pem(pem: &SecretString) -> Result<Self, PkiError> {
        let text = pem.expose_secret();
        let key = KeyPair::from_pem(text).map_err(|error| PkiError::malformed("CA key", error))?;
        let start = text
            .find("-----BEGIN CERTIFICATE-----")
            .ok_or_else(|| PkiError::malformed("CA certificate", "there is none in the file"))?;
        Self::assemble(text[start..].to_owned(), key)
    }

    fn assemble(certificate_pem: String, key: KeyPair) -> Result<Self, PkiError> {
        let certificate_der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| PkiError::malformed("CA certificate", error))?;
        let issuer = Issuer::from_ca_cert_der(&certificate_der, key)?;
        Ok(Self {
            certificate_pem,
            certificate_der,
            issuer,
        })
    }

    /// Key and certificate in PEM, for the vault.
    #[must_use]
    pub fn to_pem(&self) -> SecretString {
        SecretString::from(format!(
            "{}{}",
            self.issuer.key().serialize_pem(),
            self.certificate_pem
        ))
    }

    /// The authority's certificate in PEM; no secret.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// SHA-256 of the authority's certificate, lower-case hex: what user-data carries.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.certificate_der)
    }

    /// Signs the request of a machine. Only the key of the request counts; the name and what the
    /// certificate may be used for are ours.
    ///
    /// # Errors
    /// When the request is malformed or not signed by its key, or the key is not ECDSA P-256.
    pub fn issue_machine(
        &self,
        environment: EnvironmentId,
        csr_pem: &str,
        lifetime: Duration,
        ambient: &Ambient,
    ) -> Result<Issued, PkiError> {
        let request = CertificateSigningRequestParams::from_pem(csr_pem)
            .map_err(|error| PkiError::malformed("certificate request", error))?;
        if *request.public_key.algorithm() != rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(PkiError::malformed(
                "certificate request",
                "the key is not ECDSA P-256",
            ));
        }
        self.issue(
            machine_host(environment),
            &request.public_key,
            lifetime,
            ambient,
        )
    }

    /// A certificate for the control plane, with the key it is for: both for its listener for
    /// machines and for calling machines.
    ///
    /// # Errors
    /// When signing fails.
    pub fn issue_control_plane(
        &self,
        lifetime: Duration,
        ambient: &Ambient,
    ) -> Result<(Issued, MachineKey), PkiError> {
        let key = MachineKey::generate()?;
        let issued = self.issue(CONTROL_PLANE_HOST.to_owned(), &key.0, lifetime, ambient)?;
        Ok((issued, key))
    }

    fn issue(
        &self,
        host: String,
        key: &impl PublicKeyData,
        lifetime: Duration,
        ambient: &Ambient,
    ) -> Result<Issued, PkiError> {
        let serial = positive(ambient.random::<16>());
        let now = ambient.now();
        let lifetime = TimeDelta::from_std(lifetime)
            .map_err(|error| PkiError::malformed("lifetime of a certificate", error))?;
        let not_after = now + lifetime;
        let mut params = CertificateParams::new(vec![host.clone()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = offset(now - CLOCK_SKEW)?;
        params.not_after = offset(not_after)?;
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            serial_hex: serial_hex(&serial),
            public_key: key.der_bytes().to_vec(),
            not_after,
        })
    }
}

/// SHA-256 of a certificate, lower-case hex.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex::encode(Sha256::digest(certificate))
}

/// X.509 serial numbers are positive and not zero (RFC 5280, 4.1.2.2).
fn positive(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[0] = bytes[0] & 0x7f | 0x40;
    bytes
}

fn offset(at: DateTime<Utc>) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(at.timestamp())
        .map_err(|error| PkiError::malformed("time of a certificate", error))
}
