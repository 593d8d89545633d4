//! What every command is given: where to write, which server to talk to, and the time.

use agentopia_domain::Ambient;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use url::Url;

use crate::cli::Global;
use crate::client::{Client, Credentials};
use crate::context::{ContextFile, Contexts};
use crate::failure::Failure;
use crate::output::Output;

/// Where a server is that nobody said anything about.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// What every command is given.
#[derive(Debug)]
pub(crate) struct App {
    /// Where results are written.
    pub(crate) out: Output,
    context: Option<String>,
    ambient: Ambient,
}

impl App {
    /// Nothing is read or opened yet.
    pub(crate) fn new(global: &Global, out: Output, ambient: Ambient) -> Self {
        Self {
            out,
            context: global.context.clone(),
            ambient,
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.ambient.now()
    }

    /// Time and randomness.
    pub(crate) fn ambient(&self) -> &Ambient {
        &self.ambient
    }

    /// The name that `--context` gave.
    pub(crate) fn named_context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The file of sign-ins.
    pub(crate) fn context_file(&self) -> Result<ContextFile, Failure> {
        ContextFile::of_user(variable)
    }

    /// The sign-ins known here.
    pub(crate) fn contexts(&self) -> Result<Contexts, Failure> {
        self.context_file()?.load()
    }

    /// The server of a command that needs no sign-in: what the command line says, then
    /// `AGENTOPIA_URL`, then the usual one of this machine.
    pub(crate) fn server(&self, said: Option<&Url>) -> Result<Url, Failure> {
        match said {
            Some(url) => Ok(url.clone()),
            None => parse_url(variable("AGENTOPIA_URL").as_deref().unwrap_or(DEFAULT_URL)),
        }
    }

    /// A client that is signed in: by `--context`, by `AGENTOPIA_TOKEN`, by the current context, in
    /// this order. A stored token is only ever sent to the server that it was stored for.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let token = variable("AGENTOPIA_TOKEN").map(SecretString::from);
        if let (None, Some(token)) = (&self.context, token) {
            let url = self.server(None)?;
            return Ok(Client::new(url, Credentials::Token(token))?);
        }
        let mut contexts = self.contexts()?;
        let name = match &self.context {
            Some(name) => name.clone(),
            None => self.usual_context(&contexts)?,
        };
        let Some(context) = contexts.take(&name) else {
            return Err(Failure::NotSignedIn(format!(
                "there is no context named {name}; `agentopia auth list` shows those there are, \
                 `agentopia auth login` makes one"
            )));
        };
        Ok(Client::new(context.url, Credentials::Token(context.token))?)
    }

    /// The current context, or the one of the server in `AGENTOPIA_URL`.
    fn usual_context(&self, contexts: &Contexts) -> Result<String, Failure> {
        if let Some(url) = variable("AGENTOPIA_URL") {
            let url = parse_url(&url)?;
            return contexts.of_server(&url).ok_or_else(|| {
                Failure::NotSignedIn(format!(
                    "not signed in at {url}, which AGENTOPIA_URL names; \
                     use `agentopia login --url {url}` or set AGENTOPIA_TOKEN"
                ))
            });
        }
        contexts.current().map(str::to_owned).ok_or_else(|| {
            Failure::NotSignedIn(
                "not signed in; use `agentopia login`, or set AGENTOPIA_URL and AGENTOPIA_TOKEN"
                    .to_owned(),
            )
        })
    }
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Parses the address of a server; also used for arguments.
pub(crate) fn url_argument(text: &str) -> Result<Url, String> {
    let fits = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    };
    Url::parse(text).ok().filter(fits).ok_or_else(|| {
        format!("use http:// or https://, a host and perhaps a port, like {DEFAULT_URL}")
    })
}

fn parse_url(text: &str) -> Result<Url, Failure> {
    url_argument(text).map_err(|problem| Failure::Usage(format!("AGENTOPIA_URL: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_origin() {
        assert!(url_argument("http://127.0.0.1:8080").is_ok());
        assert!(url_argument("https://tools.example/").is_ok());
        for bad in [
            "tools.example",
            "ftp://tools.example",
            "https://tools.example/api",
            "https://user:secret@tools.example",
            "https://tools.example/?x=1",
            "",
        ] {
            assert!(url_argument(bad).is_err(), "{bad}");
        }
    }
}
