//! What we read of a certificate that the TLS layer has already verified.

use chrono::{DateTime, Utc};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::PkiError;

/// The parts of a peer's certificate that decide who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The serial number, lower-case hex.
    pub serial_hex: String,
    /// The DNS names it was issued to.
    pub dns_names: Vec<String>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

impl PeerCertificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(der: &[u8]) -> Result<Self, PkiError> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| PkiError::malformed("certificate", error))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| PkiError::malformed("certificate", error))?;
        let dns_names = names.map_or_else(Vec::new, |names| {
            names
                .value
                .general_names
                .iter()
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                })
                .collect()
        });
        let not_after = certificate.validity().not_after.timestamp();
        Ok(Self {
            serial_hex: serial_hex(certificate.raw_serial()),
            dns_names,
            // What lies beyond all times that can be written down has no end in practice.
            not_after: DateTime::from_timestamp(not_after, 0).unwrap_or(DateTime::<Utc>::MAX_UTC),
        })
    }
}

/// Serial numbers are positive integers: a leading zero byte is only the sign.
pub(crate) fn serial_hex(bytes: &[u8]) -> String {
    let first = bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len());
    hex::encode(&bytes[first..])
}
