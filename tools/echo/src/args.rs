//! The command line.

use std::net::SocketAddr;

use crate::fault::Fault;

pub(crate) const USAGE: &str = "usage: agentopia-echo [--http ADDR:PORT]";

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) transport: Transport,
    /// Hidden: `--fault MODE`, see [`Fault`].
    pub(crate) fault: Option<Fault>,
}

/// How clients reach the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Stdio,
    /// Streamable HTTP at `/mcp`.
    Http(SocketAddr),
}

pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut parsed = Args {
        transport: Transport::Stdio,
        fault: None,
    };
    while let Some(option) = args.next() {
        let value = args
            .next()
            .ok_or_else(|| format!("{option}: unknown, or its value is missing"));
        match option.as_str() {
            "--http" => {
                let value = value?;
                let address = value.parse().map_err(|_| {
                    format!("--http {value}: give an IP address and a port, as in 0.0.0.0:8080")
                })?;
                parsed.transport = Transport::Http(address);
            }
            "--fault" => parsed.fault = Some(Fault::parse(&value?)?),
            _ => return Err(format!("{option}: unknown option")),
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        super::parse(args.iter().map(ToString::to_string))
    }

    #[test]
    fn stdio_is_the_default() {
        assert_eq!(
            parse(&[]).unwrap(),
            Args {
                transport: Transport::Stdio,
                fault: None
            }
        );
    }

    #[test]
    fn http_takes_an_address() {
        let args = parse(&["--http", "127.0.0.1:80", "--fault", "hang-at-start"]).unwrap();
        assert_eq!(
            args.transport,
            Transport::Http("127.0.0.1:80".parse().unwrap())
        );
        assert_eq!(args.fault, Some(Fault::HangAtStart));
    }

    #[test]
    fn mistakes_are_named() {
        for args in [
            &["--http"][..],
            &["--http", "80"],
            &["--fault", "x"],
            &["--what", "x"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }
}
