//! HTTP to an instance: over mutual TLS to the DTMA of its machine, or to the address of a server that
//! runs elsewhere ([`super::remote`]).
//!
//! A DTMA or a tool that is just being restarted is waited for, as long as it is certain that the
//! tool did not get the request: agents don't notice such restarts (AGT-5).

use std::sync::Arc;

use agentopia_domain::EnvironmentId;
use agentopia_dtma_api::to_dtma::{DtmaClient, DtmaError, NOT_DELIVERED_HEADER, Sent};
use agentopia_gateway::{
    BodyError, ConnectError, InstanceRoute, UpstreamBody, UpstreamConnector, UpstreamLocation,
};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::remote::RemoteServers;
use super::restarts::Restarts;

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
    fn of(attempt: &Result<http::Response<Incoming>, DtmaError>) -> Self {
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
        let environment = match &instance.location {
            UpstreamLocation::Machine(environment) => environment,
            UpstreamLocation::Url(url) => {
                let (id, epoch) = (instance.id, &instance.epoch);
                return self.remotes.send(id, epoch, url, request).await;
            }
        };
        let (head, body) = request.into_parts();
        let mut pauses = Restarts::pauses();
        loop {
            // Asked for each time: a machine that was made anew has another address.
            let client = self.client(*environment).await?;
            let (method, headers) = (head.method.clone(), head.headers.clone());
            let attempt = client.mcp(instance.id, method, headers, body.clone()).await;
            let again = Again::of(&attempt);
            let pause = match (again, pauses.next()) {
                (Again::No, _) | (_, None) => return settle(attempt),
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
    attempt: Result<http::Response<Incoming>, DtmaError>,
) -> Result<http::Response<UpstreamBody>, ConnectError> {
    let answer = attempt.map_err(|error| match error {
        DtmaError::Unreachable(_, reason, Sent::Perhaps) => ConnectError::Broken(reason),
        other => ConnectError::Unreachable(other.to_string()),
    })?;
    Ok(answer.map(|body| {
        body.map_err(|error| Box::new(error) as BodyError)
            .boxed_unsync()
    }))
}
