//! The account's machine, and what belongs to nobody's.

use agentopia_api::environment::{
    EnableEnvironmentRequest, Environment, EnvironmentAnswer, EnvironmentSizes,
    ScaleEnvironmentRequest, UsageSeries,
};
use agentopia_api::orphan::{Orphan, Orphans, RemoveOrphanRequest};
use agentopia_domain::{InstanceId, OrphanId};
use reqwest::Method;

use super::{Client, ClientError};

impl Client {
    /// The environment, if there ever was one.
    pub(crate) async fn environment(&self) -> Result<Option<Environment>, ClientError> {
        let answer: EnvironmentAnswer = self.get(&["environment"], &[]).await?;
        Ok(answer.environment)
    }

    /// Turns it on.
    pub(crate) async fn enable_environment(
        &self,
        request: &EnableEnvironmentRequest,
    ) -> Result<Environment, ClientError> {
        self.change(Method::POST, &["environment", "enable"], request)
            .await
    }

    /// Turns it off.
    pub(crate) async fn disable_environment(&self) -> Result<Environment, ClientError> {
        self.post(&["environment", "disable"]).await
    }

    /// The sizes that it can have.
    pub(crate) async fn environment_sizes(&self) -> Result<EnvironmentSizes, ClientError> {
        self.get(&["environment", "sizes"], &[]).await
    }

    /// Gives it another size.
    pub(crate) async fn scale_environment(
        &self,
        request: &ScaleEnvironmentRequest,
    ) -> Result<Environment, ClientError> {
        self.change(Method::POST, &["environment", "scale"], request)
            .await
    }

    /// What belongs to nobody at the provider.
    pub(crate) async fn orphans(&self) -> Result<Orphans, ClientError> {
        self.get(&["orphans"], &[]).await
    }

    /// Has one of them removed.
    pub(crate) async fn remove_orphan(
        &self,
        id: OrphanId,
        request: &RemoveOrphanRequest,
    ) -> Result<Orphan, ClientError> {
        let id = id.to_string();
        self.change(Method::POST, &["orphans", &id, "remove"], request)
            .await
    }

    /// Measurements of the last `since_seconds`, of the machine or of one instance.
    pub(crate) async fn usage(
        &self,
        since_seconds: u64,
        instance: Option<InstanceId>,
    ) -> Result<UsageSeries, ClientError> {
        let mut query = vec![("since_seconds", since_seconds.to_string())];
        query.extend(instance.map(|id| ("instance_id", id.to_string())));
        self.get(&["environment", "usage"], &query).await
    }
}
