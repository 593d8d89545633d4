//! What the engine's errors mean.

use bollard::errors::Error;

use crate::runtime::{ErrorCode, RuntimeError};

/// Gives an error of the engine a code, with what was being done.
pub(super) fn failed(doing: &str, error: &Error) -> RuntimeError {
    let code = match error {
        Error::DockerResponseServerError { message, .. } if is_disk_full(message) => {
            ErrorCode::DiskFull
        }
        Error::DockerStreamError { error } if is_disk_full(error) => ErrorCode::DiskFull,
        Error::DockerResponseServerError { .. }
        | Error::DockerStreamError { .. }
        | Error::DockerContainerWaitError { .. }
        | Error::JsonDataError { .. } => ErrorCode::EngineFailed,
        _ => ErrorCode::EngineUnreachable,
    };
    let message = match code {
        ErrorCode::DiskFull => {
            format!(
                "{doing}: the disk of the machine is full; remove tools or images, or take a larger machine"
            )
        }
        ErrorCode::EngineUnreachable => format!(
            "{doing}: the Docker Engine does not answer ({error}); it is tried again, and `systemctl status docker` on the machine says why"
        ),
        _ => format!("{doing}: {}", words(error)),
    };
    RuntimeError::new(code, message)
}

/// What the engine itself said.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        other => other.to_string(),
    }
}

/// The HTTP status of a refusal.
pub(super) const fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Turns "no such object" into `None`.
pub(super) fn found<T>(doing: &str, result: Result<T, Error>) -> Result<Option<T>, RuntimeError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(failed(doing, &error)),
    }
}

/// Whether the words are those of a full disk.
pub(super) fn is_disk_full(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("no space left on device") || message.contains("disk quota exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        }
    }

    #[test]
    fn a_full_disk_an_absent_engine_and_a_refusal_are_told_apart() {
        let full = refused(500, "write /var/lib/docker/x: no space left on device");
        assert_eq!(failed("making it", &full).code, ErrorCode::DiskFull);
        let away = Error::RequestTimeoutError;
        assert_eq!(
            failed("making it", &away).code,
            ErrorCode::EngineUnreachable
        );
        let other = failed("making it", &refused(500, "something odd\n"));
        assert_eq!(other.code, ErrorCode::EngineFailed);
        assert_eq!(other.message, "making it: something odd");
    }

    #[test]
    fn what_is_not_there_is_none_and_not_an_error() {
        assert_eq!(
            found::<()>("looking", Err(refused(404, "no such container"))),
            Ok(None)
        );
        assert!(found::<()>("looking", Err(refused(500, "oops"))).is_err());
    }
}
