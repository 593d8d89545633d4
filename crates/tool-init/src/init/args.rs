//! The command line: our options up to `--`, then the image's own entrypoint and command.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use crate::protocol::{DEFAULT_GRACE_MS, DEFAULT_SOCKET, DEFAULT_WAIT_MS};

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    /// Where the host listens.
    pub(super) socket: PathBuf,
    /// How long to wait for the host at the start.
    pub(super) wait: Duration,
    /// From SIGTERM to SIGKILL when this process is told to stop by a signal.
    pub(super) grace: Duration,
    /// The image's entrypoint and command: what a SPAWN without arguments starts.
    pub(super) image_argv: Vec<CString>,
}

/// Without `--`, the first word that is no option of ours starts the image's command.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<Config, &'static str> {
    let mut config = Config {
        socket: PathBuf::from(DEFAULT_SOCKET),
        wait: Duration::from_millis(DEFAULT_WAIT_MS),
        grace: Duration::from_millis(DEFAULT_GRACE_MS.into()),
        image_argv: Vec::new(),
    };
    let mut args = args.peekable();
    while let Some(option) = args.next_if(|arg| arg.as_bytes().starts_with(b"--")) {
        match option.as_bytes() {
            b"--" => break,
            b"--socket" => {
                config.socket = args.next().ok_or("--socket needs a path")?.into();
            }
            b"--wait-ms" => config.wait = millis(args.next()).ok_or("--wait-ms needs a number")?,
            b"--grace-ms" => {
                config.grace = millis(args.next()).ok_or("--grace-ms needs a number")?;
            }
            _ => return Err("unknown option"),
        }
    }
    let word = |arg: OsString| CString::new(arg.into_vec()).map_err(|_| "zero byte in an argument");
    config.image_argv = args.map(word).collect::<Result<_, _>>()?;
    Ok(config)
}

/// At most 32 bits, so that no sum of times overflows.
fn millis(arg: Option<OsString>) -> Option<Duration> {
    let millis: u32 = arg?.to_str()?.parse().ok()?;
    Some(Duration::from_millis(millis.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Config, &'static str> {
        super::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn everything_after_two_dashes_is_the_images() {
        let config = parse(&["--socket", "/s", "--wait-ms", "9", "--", "--socket", "x"]).unwrap();
        assert_eq!(config.socket, PathBuf::from("/s"));
        assert_eq!(config.wait, Duration::from_millis(9));
        assert_eq!(config.image_argv, [c"--socket".to_owned(), c"x".to_owned()]);
    }

    #[test]
    fn an_image_command_needs_no_dashes() {
        let config = parse(&["/server", "--port", "1"]).unwrap();
        assert_eq!(config.socket, PathBuf::from(DEFAULT_SOCKET));
        assert_eq!(config.image_argv.len(), 3);
        assert!(parse(&[]).unwrap().image_argv.is_empty());
    }

    #[test]
    fn bad_options_are_refused() {
        for args in [
            &["--socket"][..],
            &["--wait-ms", "x"],
            &["--wait-ms", "-1"],
            &["--what"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }
}
