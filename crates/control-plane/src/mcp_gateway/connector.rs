//! HTTP to an instance: over mutual TLS to the DTMA of its machine, or to the address of a server that
//! runs elsewhere ([`super::remote`]).
//!
//! A DTMA or a tool that is just being restarted is waited for, as long as it is certain that the
//! tool did not get the request: agents don't notice such restarts (AGT-5).

use std::sync::Arc;

use agentopia_domain::EnvironmentId;
use agentopia_domain::versions::Slot;
use agentopia_dtma_api::problem::Problem;
use agentopia_dtma_api::to_dtma::{
    DtmaClient, DtmaError, McpBody, NOT_DELIVERED_HEADER, OwnCredentials, Sent,
};
use agentopia_gateway::{
    ConnectError, InstanceRoute, LINK_HEADER, UpstreamBody, UpstreamConnector, UpstreamLocation,
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;

use super::remote::RemoteServers;
use super::restarts::Restarts;

/// A problem document of a DTMA is a few hundred bytes.
const LONGEST_PROBLEM: usize = 16 << 10;

/// See the module's header.
#[derive(Debug)]
pub struct MachineConnector {
    /// The clients of all machines, and patience with them.
    pub restarts: Restarts,
    /// Servers that run elsewhere.
    pub remotes: Arc<RemoteServers>,
}

/// What an attempt says about a next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It was answered, or may have been carried out.
    No,
    /// Nothing listens on the machine.
    MachineIsAway,
    /// The machine's DTMA says that the tool did not get it.
    ToolIsAway,
}

impl Again {
    fn of(attempt: &Result<http::Response<McpBody>, DtmaError>) -> Self {
        match attempt {
            Ok(answer) if answer.headers().contains_key(NOT_DELIVERED_HEADER) => Self::ToolIsAway,
            Err(DtmaError::Unreachable(_, _, Sent::No)) => Self::MachineIsAway,
            _ => Self::No,
        }
    }
}

#[async_trait]
impl UpstreamConnector for MachineConnector {
    async fn send(
        &self,
        instance: &InstanceRoute,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<UpstreamBody>, ConnectError> {
        let (environment, slot) = match &instance.location {
            UpstreamLocation::Machine(environment) => (environment, Slot::First),
            UpstreamLocation::MachineSecond(environment) => (environment, Slot::Second),
            UpstreamLocation::Url(url) => {
                let (id, epoch) = (instance.id, &instance.epoch);
                return self.remotes.send(id, epoch, url, request).await;
            }
        };
        let (mut head, body) = request.into_parts();
        let own = own_credentials(&mut head.headers)?;
        let on_machine = slot.on_machine(instance.id);
        let mut pauses = Restarts::pauses();
        loop {
            // Asked for each time: a machine that was made anew has another address.
            let client = self.client(*environment).await?;
            let (method, headers) = (head.method.clone(), head.headers.clone());
            let attempt = client
                .mcp(on_machine, own.as_ref(), method, headers, body.clone())
                .await;
            let again = Again::of(&attempt);
            let pause = match (again, pauses.next()) {
                (Again::No, _) | (_, None) => {
                    let answer = settle(attempt)?;
                    return match own {
                        Some(_) => let_in(answer).await,
                        None => Ok(answer),
                    };
                }
                (_, Some(pause)) => pause,
            };
            if again == Again::MachineIsAway {
                self.restarts.look_after(*environment).await;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl MachineConnector {
    async fn client(&self, environment: EnvironmentId) -> Result<DtmaClient, ConnectError> {
        let connections = &self.restarts.connections;
        match connections.recent(environment) {
            Some(client) => Ok(client),
            None => connections
                .by_id(environment)
                .await
                .map_err(|error| ConnectError::Unreachable(error.to_string())),
        }
    }
}

fn settle(
    attempt: Result<http::Response<McpBody>, DtmaError>,
) -> Result<http::Response<UpstreamBody>, ConnectError> {
    attempt.map_err(|error| match error {
        DtmaError::Unreachable(_, reason, Sent::Perhaps) => ConnectError::Broken(reason),
        other => ConnectError::Unreachable(other.to_string()),
    })
}

/// The link whose secrets the server is to see, taken out of what the gateway sends.
pub(super) fn own_credentials(
    headers: &mut HeaderMap,
) -> Result<Option<OwnCredentials>, ConnectError> {
    let Some(text) = headers.remove(LINK_HEADER) else {
        return Ok(None);
    };
    let parsed = text.to_str().ok().and_then(|text| {
        let (link, revision) = text.split_once(' ')?;
        Some(OwnCredentials {
            link: link.parse().ok()?,
            revision: revision.to_owned(),
        })
    });
    // Never without: the server would see the instance's own.
    let unreadable = || ConnectError::Refused("the link's secrets can't be named".to_owned());
    parsed.map(Some).ok_or_else(unreadable)
}

/// The answer to a request with a link's own secrets, unless the machine says that it can't be made
/// with them: in its words, which are for people.
async fn let_in(
    answer: http::Response<UpstreamBody>,
) -> Result<http::Response<UpstreamBody>, ConnectError> {
    if answer.status() != StatusCode::FORBIDDEN {
        return Ok(answer);
    }
    let mut body = answer.into_body();
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await
        && text.len() < LONGEST_PROBLEM
    {
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    let problem = serde_json::from_slice::<Problem>(&text).ok();
    Err(ConnectError::Refused(problem.map_or_else(
        || "its machine refuses the link's own secrets".to_owned(),
        |problem| problem.detail,
    )))
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;
    use agentopia_domain::LinkId;

    use super::*;

    #[test]
    fn whose_secrets_it_is_goes_no_further_and_is_never_left_out() {
        let mut headers = HeaderMap::new();
        assert!(own_credentials(&mut headers).is_ok_and(|own| own.is_none()));
        let link: LinkId = Ambient::system().new_id();
        headers.insert(LINK_HEADER, format!("{link} abc").parse().unwrap());
        let own = own_credentials(&mut headers).unwrap().unwrap();
        assert_eq!((own.link, own.revision.as_str()), (link, "abc"));
        assert!(headers.is_empty());
        for wrong in ["", "abc", "no-link abc"] {
            headers.insert(LINK_HEADER, wrong.parse().unwrap());
            assert!(own_credentials(&mut headers).is_err(), "{wrong:?}");
        }
    }
}
