//! How a runtime fails, and whether trying again can help.

use std::fmt;

/// Whether and when trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It may pass by itself: with growing pauses.
    Soon,
    /// Somebody has to mend something elsewhere (a registry, the disk): reported as failed at
    /// once, tried again at the longest interval.
    Seldom,
    /// Only another spec can help.
    Never,
}

/// What went wrong: stable, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The container engine does not answer.
    EngineUnreachable,
    /// The container engine said no, for a reason not named here.
    EngineFailed,
    /// The registry has no such repository, tag or digest.
    ImageNotFound,
    /// The image is for another architecture, or lacks what is needed to start it.
    ImageUnusable,
    /// The registry refused the login, or wants one.
    RegistryUnauthorised,
    /// The registry does not answer.
    RegistryUnreachable,
    /// The package registry has no such package or version.
    PackageNotFound,
    /// The package can't be run as it is: it has no program, is withdrawn, or is not what was asked for.
    PackageUnusable,
    /// Installing the package failed, for a reason not named here, or went past its limits.
    BuildFailed,
    /// A port that is needed is taken.
    PortTaken,
    /// The disk is full, or below its floor.
    DiskFull,
    /// The program can't be executed (missing, no permission, wrong format).
    ExecFailed,
    /// The program is not on this machine.
    ProgramNotFound,
    /// This runtime can't run this tool at all.
    Unsupported,
    /// The tool's own process could not be made (limits, E2BIG, …).
    SpawnFailed,
    /// The instance is not running.
    NotRunning,
    /// It ended, or does not answer MCP.
    Unhealthy,
    /// The control plane refuses to hand out the tool's secrets.
    SecretsRefused,
    /// A file, socket or process of this machine failed us.
    Io,
}

impl ErrorCode {
    /// Snake case, as it goes into messages and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EngineUnreachable => "engine_unreachable",
            Self::EngineFailed => "engine_failed",
            Self::ImageNotFound => "image_not_found",
            Self::ImageUnusable => "image_unusable",
            Self::RegistryUnauthorised => "registry_unauthorised",
            Self::RegistryUnreachable => "registry_unreachable",
            Self::PackageNotFound => "package_not_found",
            Self::PackageUnusable => "package_unusable",
            Self::BuildFailed => "build_failed",
            Self::PortTaken => "port_taken",
            Self::DiskFull => "disk_full",
            Self::ExecFailed => "exec_failed",
            Self::ProgramNotFound => "program_not_found",
            Self::Unsupported => "unsupported",
            Self::SpawnFailed => "spawn_failed",
            Self::NotRunning => "not_running",
            Self::Unhealthy => "unhealthy",
            Self::SecretsRefused => "secrets_refused",
            Self::Io => "io",
        }
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::EngineUnreachable
            | Self::EngineFailed
            | Self::RegistryUnreachable
            | Self::PortTaken
            | Self::SpawnFailed
            | Self::NotRunning
            | Self::Unhealthy
            | Self::Io => Retry::Soon,
            Self::ImageNotFound
            | Self::PackageNotFound
            | Self::BuildFailed
            | Self::RegistryUnauthorised
            | Self::DiskFull
            | Self::SecretsRefused
            | Self::ProgramNotFound => Retry::Seldom,
            Self::ImageUnusable | Self::PackageUnusable | Self::ExecFailed | Self::Unsupported => {
                Retry::Never
            }
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure of a runtime: a code, and a sentence that says what to do. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RuntimeError {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl RuntimeError {
    /// Of a code and a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// An I/O error, with what was being done. A full disk is told apart.
    #[must_use]
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        let code = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                ErrorCode::DiskFull
            }
            _ => ErrorCode::Io,
        };
        Self::new(code, format!("{doing}: {error}"))
    }
}
