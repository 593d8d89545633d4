//! Instances of tools, their logs, and calling them by hand.

use std::time::Duration;

use agentopia_api::definition::{HoldRequest, ToolDefinitions};
use agentopia_api::instance::{
    CallRequest, CallResponse, DeployRequest, Diagnosis, Instance, LogLine, ToolList,
    UpdateInstanceRequest,
};
use agentopia_api::upstream_login::{LoginBegun, LoginRequest};
use agentopia_api::version::{RollbackRequest, Updates, UpgradeRequest};
use agentopia_domain::InstanceId;
use reqwest::Method;

use super::lines::ResponseLines;
use super::{Client, ClientError, read};

/// The server ends a call by hand itself; this only keeps a dead connection from hanging for ever.
const CALL_TIMEOUT: Duration = Duration::from_secs(3600);

impl Client {
    /// Deploys a tool.
    pub(crate) async fn deploy(&self, request: &DeployRequest) -> Result<Instance, ClientError> {
        self.change(Method::POST, &["instances"], request).await
    }

    /// The instances; removed ones only if asked for.
    pub(crate) async fn instances(&self, with_removed: bool) -> Result<Vec<Instance>, ClientError> {
        let query = [("include_removed", "true".to_owned())];
        let query = if with_removed { &query[..] } else { &[] };
        self.list(&["instances"], query, None).await
    }

    /// One instance.
    pub(crate) async fn instance(&self, id: InstanceId) -> Result<Instance, ClientError> {
        self.get(&["instances", &id.to_string()], &[]).await
    }

    /// `start`, `stop` or `restart`.
    pub(crate) async fn instance_action(
        &self,
        id: InstanceId,
        action: &'static str,
    ) -> Result<Instance, ClientError> {
        self.post(&["instances", &id.to_string(), action]).await
    }

    /// Changes name, configuration or secrets.
    pub(crate) async fn update_instance(
        &self,
        id: InstanceId,
        request: &UpdateInstanceRequest,
    ) -> Result<Instance, ClientError> {
        self.change(Method::PATCH, &["instances", &id.to_string()], request)
            .await
    }

    /// What its tools say of themselves.
    pub(crate) async fn definitions(&self, id: InstanceId) -> Result<ToolDefinitions, ClientError> {
        self.get(&["instances", &id.to_string(), "definitions"], &[])
            .await
    }

    /// Whether agents see only what was accepted.
    pub(crate) async fn hold_definitions(
        &self,
        id: InstanceId,
        hold: bool,
    ) -> Result<ToolDefinitions, ClientError> {
        let path = ["instances", &id.to_string(), "definitions"];
        self.change(Method::PUT, &path, &HoldRequest { hold }).await
    }

    /// Accepts what they say now.
    pub(crate) async fn accept_definitions(
        &self,
        id: InstanceId,
    ) -> Result<ToolDefinitions, ClientError> {
        self.post(&["instances", &id.to_string(), "definitions", "accept"])
            .await
    }

    /// Whether there is something newer.
    pub(crate) async fn updates(&self, id: InstanceId) -> Result<Updates, ClientError> {
        self.get(&["instances", &id.to_string(), "updates"], &[])
            .await
    }

    /// Brings it to another version.
    pub(crate) async fn upgrade(
        &self,
        id: InstanceId,
        request: &UpgradeRequest,
    ) -> Result<Instance, ClientError> {
        let path = ["instances", &id.to_string(), "upgrade"];
        self.change(Method::POST, &path, request).await
    }

    /// Brings it back to the version before.
    pub(crate) async fn rollback(
        &self,
        id: InstanceId,
        request: &RollbackRequest,
    ) -> Result<Instance, ClientError> {
        let path = ["instances", &id.to_string(), "rollback"];
        self.change(Method::POST, &path, request).await
    }

    /// Takes it away.
    pub(crate) async fn remove_instance(
        &self,
        id: InstanceId,
        purge_data: bool,
    ) -> Result<Instance, ClientError> {
        let request = self
            .http
            .delete(self.url(&["instances", &id.to_string()]))
            .query(&[("purge_data", purge_data)])
            .timeout(super::ANSWER_TIMEOUT);
        read(self.send(request).await?).await
    }

    /// Begins a login at its server, which runs elsewhere.
    pub(crate) async fn begin_login(
        &self,
        id: InstanceId,
        request: &LoginRequest,
    ) -> Result<LoginBegun, ClientError> {
        self.change(
            Method::POST,
            &["instances", &id.to_string(), "login"],
            request,
        )
        .await
    }

    /// Forgets that login.
    pub(crate) async fn forget_login(&self, id: InstanceId) -> Result<(), ClientError> {
        self.delete(&["instances", &id.to_string(), "login"]).await
    }

    /// The tools that it offers.
    pub(crate) async fn instance_tools(&self, id: InstanceId) -> Result<ToolList, ClientError> {
        self.get(&["instances", &id.to_string(), "tools"], &[])
            .await
    }

    /// What keeps it from serving.
    pub(crate) async fn diagnose(&self, id: InstanceId) -> Result<Diagnosis, ClientError> {
        self.get(&["instances", &id.to_string(), "doctor"], &[])
            .await
    }

    /// Calls one of them.
    pub(crate) async fn call(
        &self,
        id: InstanceId,
        request: &CallRequest,
    ) -> Result<CallResponse, ClientError> {
        let request = self
            .http
            .post(self.url(&["instances", &id.to_string(), "call"]))
            .json(request)
            .timeout(CALL_TIMEOUT);
        read(self.send(request).await?).await
    }

    /// Its log: the last `tail` lines, and what comes if it is followed.
    pub(crate) async fn logs(
        &self,
        id: InstanceId,
        tail: u32,
        follow: bool,
    ) -> Result<LogReader, ClientError> {
        let request = self
            .http
            .get(self.url(&["instances", &id.to_string(), "logs"]))
            .query(&[("tail", tail.to_string()), ("follow", follow.to_string())]);
        let response = self.send(request).await?;
        Ok(LogReader(ResponseLines::new(&self.base, response)))
    }
}

/// Reads a log line by line.
#[derive(Debug)]
pub(crate) struct LogReader(ResponseLines);

impl LogReader {
    /// The next line; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<LogLine>, ClientError> {
        while let Some(line) = self.0.next().await? {
            if !line.is_empty() {
                return self.0.read(&line).map(Some);
            }
        }
        Ok(None)
    }
}
