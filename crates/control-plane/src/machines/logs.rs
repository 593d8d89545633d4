//! Reads logs from machines, for people.

use agentopia_domain::instance::Instance;
use agentopia_dtma_api::to_dtma::{DtmaError, LogLine, LogQuery};
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use super::Connections;
use super::connections::NoConnection;
use crate::state::{MachineError, Machines};

#[async_trait]
impl Machines for Connections {
    async fn logs(
        &self,
        instance: &Instance,
        query: LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, MachineError>>, MachineError> {
        let client = self
            .by_id(instance.environment_id)
            .await
            .map_err(|error| match error {
                NoConnection::NotEnrolled => MachineError::NoMachine,
                other => MachineError::Unreachable(other.to_string()),
            })?;
        let lines = client
            .logs(instance.on_machine(), query)
            .await
            .map_err(told)?;
        Ok(lines.map(|line| line.map_err(told)).boxed())
    }
}

fn told(error: DtmaError) -> MachineError {
    match error {
        DtmaError::Refused(problem) if problem.status == 404 => MachineError::UnknownInstance,
        DtmaError::Refused(problem) => MachineError::Refused(problem.detail),
        other => MachineError::Unreachable(other.to_string()),
    }
}
