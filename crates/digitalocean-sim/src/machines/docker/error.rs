//! What can fail on the machines' host, said so that whoever reads the log can act on it.

use std::path::PathBuf;

use crate::machines::MachineError;

/// Why the host could not do something.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine refused, or does not answer.
    #[error("the Docker Engine can not {doing}")]
    Engine {
        /// What was asked of it.
        doing: &'static str,
        /// Its words.
        #[source]
        source: bollard::errors::Error,
    },
    /// The engine does not have the image.
    #[error(
        "the Docker Engine has no image {0}: script/droplet-image makes it and prints its name"
    )]
    NoImage(String),
    /// A program of the host failed.
    #[error(
        "`{command}` failed: {said} (machines need root, and the packages e2fsprogs, mount and iproute2)"
    )]
    Command {
        /// The program with its arguments.
        command: String,
        /// What it said.
        said: String,
    },
    /// A file could not be read or written.
    #[error("can not {doing} {}", path.display())]
    File {
        /// What was to be done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The metadata service can't listen.
    #[error("the metadata service can not listen on {address}")]
    Metadata {
        /// Where.
        address: std::net::SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another simulator has the machines of this subnet.
    #[error(
        "another simulator has its machines in {0}: choose another subnet with --machine-subnet"
    )]
    Taken(String),
    /// The host's resolver can't be used from a machine.
    #[error("no name server in {0} can be reached from a machine: all are on loopback")]
    NoResolver(&'static str),
    /// Where the engine is.
    #[error("DOCKER_HOST is {0}: machines need an engine on this host, at unix://PATH")]
    NotLocal(String),
    /// The engine says nothing of where it put a machine.
    #[error("the Docker Engine does not tell the machine's {0}")]
    Untold(&'static str),
}

impl From<HostError> for MachineError {
    fn from(error: HostError) -> Self {
        Self::Host(Box::new(error))
    }
}

/// Adds to an engine's error what was asked for.
pub(super) fn engine(doing: &'static str) -> impl Fn(bollard::errors::Error) -> HostError {
    move |source| HostError::Engine { doing, source }
}

/// Whether the engine refused with one of these HTTP statuses.
pub(super) fn is_status(error: &bollard::errors::Error, statuses: &[u16]) -> bool {
    use bollard::errors::Error::DockerResponseServerError as Refused;
    matches!(error, Refused { status_code, .. } if statuses.contains(status_code))
}
