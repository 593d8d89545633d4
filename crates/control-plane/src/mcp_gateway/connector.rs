//! HTTP to an instance: over mutual TLS to the DTMA of its machine.
//!
//! A DTMA or a tool that is just being restarted is waited for, as long as it is certain that the
//! tool did not get the request: agents don't notice such restarts (AGT-5).

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::EnvironmentId;
use agentopia_dtma_api::to_dtma::{DtmaClient, DtmaError, NOT_DELIVERED_HEADER, Sent};
use agentopia_gateway::{
    BodyError, ConnectError, InstanceRoute, UpstreamBody, UpstreamConnector, UpstreamLocation,
};
use agentopia_store::LeaseKind;
use async_trait::async_trait;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use http_body_util::BodyExt as _;

use crate::machines::Connections;
use crate::reconcilers::Bells;

/// How long a request waits for what is being restarted. A killed DTMA is back, with its tools
/// adopted, after a second or two.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// See the module's header.
#[derive(Debug)]
pub struct MachineConnector {
    /// The clients of all machines.
    pub connections: Arc<Connections>,
    /// Told when a machine does not listen.
    pub bells: Bells,
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
    fn of(attempt: &Result<reqwest::Response, DtmaError>) -> Self {
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
        let UpstreamLocation::Machine(environment) = &instance.location else {
            return Err(ConnectError::Unreachable(
                "servers without a machine are not supported yet".to_owned(),
            ));
        };
        let (head, body) = request.into_parts();
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_total_delay(Some(PATIENCE))
            .without_max_times()
            .build();
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
                self.look_after(*environment).await;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl MachineConnector {
    async fn client(&self, environment: EnvironmentId) -> Result<DtmaClient, ConnectError> {
        match self.connections.recent(environment) {
            Some(client) => Ok(client),
            None => self
                .connections
                .by_id(environment)
                .await
                .map_err(|error| ConnectError::Unreachable(error.to_string())),
        }
    }

    /// Has the environment's reconciler look at the machine now, and not with its next round.
    async fn look_after(&self, environment: EnvironmentId) {
        let id = environment.as_uuid();
        let leases = self.connections.store().leases();
        if let Err(error) = leases.wake(LeaseKind::Environment, id).await {
            tracing::warn!(%error, "the reconciler could not be told of a machine that is away");
        }
        self.bells.environments.ring(id);
    }
}

fn settle(
    attempt: Result<reqwest::Response, DtmaError>,
) -> Result<http::Response<UpstreamBody>, ConnectError> {
    let answer = attempt.map_err(|error| match error {
        DtmaError::Unreachable(_, reason, Sent::Perhaps) => ConnectError::Broken(reason),
        other => ConnectError::Unreachable(other.to_string()),
    })?;
    let answer: http::Response<reqwest::Body> = answer.into();
    Ok(answer.map(|body| {
        body.map_err(|error| Box::new(error) as BodyError)
            .boxed_unsync()
    }))
}
