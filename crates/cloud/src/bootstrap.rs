//! What a new machine is told to do at its first start: user-data for cloud-init (ENV-6). Pure.
//!
//! ```text
//! bootstrap.sh            Docker, downloads, enrolment; reports each phase to the control plane
//!                         (bootstrap.service: at each boot until it has enrolled)
//! metadata-block.sh       closes the metadata service, at each boot (metadata-block.service)
//! dtma.service            the hardened unit of the management agent
//! dtma-image.service      the same, where the agent is run from a container image
//! ```
//!
//! User-data can be read by every process of the machine until the metadata service is closed, and
//! stays on its disk. So there is no secret in it but the enrolment token, which is used once and
//! worthless after fifteen minutes. Programs come from the control plane, over HTTPS that only its own
//! CA vouches for, and have to have the SHA-256 that stands here. An image comes from its registry,
//! without a login, which would be a secret; it has to have the digest that stands in its name, if
//! one does.
//!
//! The document is JSON, which is YAML too: no file can be mistaken for a part of the document.

mod files;
mod image;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::Url;

use crate::Bootstrap;
use files::{FileEntry, files};

pub use image::{AgentImage, NoImage};

/// The most bytes that clouds take.
pub const MAX_USER_DATA: usize = 64 << 10;

/// The programs that a machine downloads, by their SHA-256 in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// Of `dtma`.
    pub dtma_sha256: String,
    /// Of `tool-init`.
    pub tool_init_sha256: String,
}

/// How a machine gets its management agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentSource {
    /// As programs from the control plane.
    Programs(Programs),
    /// As a container image, which has `tool-init` in it too.
    Image(AgentImage),
}

/// Why there can be no user-data. None of it quotes a value: one of them is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserDataError {
    /// A part has characters that it can't have.
    #[error("the machine can't be told how to start: {0} has characters that it can't have")]
    Unfit(&'static str),
    /// The address of the control plane.
    #[error(
        "the machine can't be told how to start: the control plane's address is not of the form \
         https://host:port; set `dtma_advertise_url`"
    )]
    ControlPlane,
    /// It is too long.
    #[error("the machine can't be told how to start: the user-data has {0} bytes, too many")]
    TooLong(usize),
}

#[derive(Serialize)]
struct Document<'a> {
    write_files: &'a [FileEntry],
    runcmd: [[&'static str; 4]; 1],
}

/// The user-data of a machine whose management agent will listen on `dtma_port`.
///
/// # Errors
/// See [`UserDataError`].
pub fn user_data(
    bootstrap: &Bootstrap,
    agent: &AgentSource,
    dtma_port: u16,
) -> Result<SecretString, UserDataError> {
    check(bootstrap, agent)?;
    let connect = connect_to(&bootstrap.control_plane_url, &bootstrap.control_plane_name)?;
    let document = Document {
        write_files: &files(bootstrap, agent, dtma_port, &connect),
        runcmd: [files::COMMAND],
    };
    let json = serde_json::to_string_pretty(&document)
        .map_err(|_| UserDataError::Unfit("the document"))?;
    let text = format!("#cloud-config\n{json}\n");
    if !text.is_ascii() {
        return Err(UserDataError::Unfit("the document"));
    }
    if text.len() > MAX_USER_DATA {
        return Err(UserDataError::TooLong(text.len()));
    }
    Ok(SecretString::from(text))
}

/// Values end up in a shell's variables and in TOML, so each has its own plain alphabet.
fn check(bootstrap: &Bootstrap, agent: &AgentSource) -> Result<(), UserDataError> {
    let digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let plain = |text: &str, also: &[u8]| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
        !text.is_empty() && text.bytes().all(good)
    };
    let pem = |text: &str| {
        let good = |line: &str| line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        text.starts_with("-----BEGIN CERTIFICATE-----") && text.lines().all(good)
    };
    // A name of an image is checked when it is read.
    if let AgentSource::Programs(programs) = agent {
        for (what, sha256) in [
            ("the SHA-256 of dtma", &programs.dtma_sha256),
            ("the SHA-256 of tool-init", &programs.tool_init_sha256),
        ] {
            if !digest(sha256) {
                return Err(UserDataError::Unfit(what));
            }
        }
    }
    for (what, fits) in [
        ("the CA's fingerprint", digest(&bootstrap.ca_fingerprint)),
        ("the CA's certificate", pem(&bootstrap.ca_pem)),
        (
            "the control plane's name",
            plain(&bootstrap.control_plane_name, b".-"),
        ),
        (
            "the enrolment token",
            plain(bootstrap.enrolment_token.expose_secret(), b"_-"),
        ),
    ] {
        if !fits {
            return Err(UserDataError::Unfit(what));
        }
    }
    Ok(())
}

/// For curl: under which name the control plane is asked, which is the one in its certificate, and
/// where it really is.
fn connect_to(url: &Url, name: &str) -> Result<String, UserDataError> {
    let host = url.host_str().filter(|_| url.scheme() == "https");
    let (Some(host), Some(port)) = (host, url.port_or_known_default()) else {
        return Err(UserDataError::ControlPlane);
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    if !host.bytes().all(good) {
        return Err(UserDataError::ControlPlane);
    }
    Ok(format!("{name}:443:{host}:{port}"))
}

#[cfg(test)]
mod tests;
