//! HTTP to an instance: over mutual TLS to the DTMA of its machine.

use std::sync::Arc;

use agentopia_dtma_api::to_dtma::DtmaError;
use agentopia_gateway::{
    BodyError, ConnectError, InstanceRoute, UpstreamBody, UpstreamConnector, UpstreamLocation,
};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt as _;

use crate::machines::Connections;

/// See the module's header.
#[derive(Debug)]
pub struct MachineConnector {
    /// The clients of all machines.
    pub connections: Arc<Connections>,
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
        let client = match self.connections.recent(*environment) {
            Some(client) => client,
            None => self
                .connections
                .by_id(*environment)
                .await
                .map_err(|error| ConnectError::Unreachable(error.to_string()))?,
        };
        let (head, body) = request.into_parts();
        let answer = client
            .mcp(instance.id, head.method, head.headers, body)
            .await;
        let response = answer.map_err(|error| match error {
            DtmaError::Unreachable(_, reason) => ConnectError::Broken(reason),
            other => ConnectError::Unreachable(other.to_string()),
        })?;
        let response: http::Response<reqwest::Body> = response.into();
        Ok(response.map(|body| {
            body.map_err(|error| Box::new(error) as BodyError)
                .boxed_unsync()
        }))
    }
}
