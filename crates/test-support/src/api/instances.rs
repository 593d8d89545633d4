//! Environments, instances, secrets and events: what nearly every test does.

use std::time::Duration;

use agentopia_api::environment::{Environment, EnvironmentAnswer, ScaleEnvironmentRequest};
use agentopia_api::event::Event;
use agentopia_api::instance::{
    CallRequest, CallResponse, DeployRequest, Diagnosis, Instance, LogLine, UpdateInstanceRequest,
};
use agentopia_api::registry_login::{PutRegistryLoginRequest, RegistryLogin};
use agentopia_api::secret::{PutSecretRequest, Secret};
use agentopia_domain::InstanceId;
use agentopia_domain::environment::EnvironmentStatus;
use agentopia_domain::instance::InstanceStatus;
use anyhow::Context as _;
use futures::{Stream, StreamExt as _};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Api;
use crate::wait::wait_for;

/// A request to deploy `catalog`, with nothing set.
#[must_use]
pub fn deployment(catalog: &str) -> DeployRequest {
    DeployRequest {
        catalog: catalog.to_owned(),
        name: None,
        version: None,
        config: Map::new(),
        secrets: std::collections::BTreeMap::new(),
        allow_from: Vec::new(),
        url: None,
        egress: None,
        idle: agentopia_domain::idle::IdleSetting::Inherit,
    }
}

impl Api {
    /// Deploys a tool with nothing set; returns at once.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn deploy(&self, catalog: &str) -> anyhow::Result<Instance> {
        self.post("/api/v1/instances", &deployment(catalog)).await
    }

    /// An instance.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn instance(&self, id: InstanceId) -> anyhow::Result<Instance> {
        self.get(&format!("/api/v1/instances/{id}")).await
    }

    /// `start`, `stop` or `restart`.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn instance_verb(&self, id: InstanceId, verb: &str) -> anyhow::Result<Instance> {
        self.post(&format!("/api/v1/instances/{id}/{verb}"), &json!({}))
            .await
    }

    /// Changes the configuration.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn configure(
        &self,
        id: InstanceId,
        config: Map<String, Value>,
    ) -> anyhow::Result<Instance> {
        let request = UpdateInstanceRequest {
            config: Some(config),
            ..Default::default()
        };
        self.patch(&format!("/api/v1/instances/{id}"), &request)
            .await
    }

    /// Takes an instance away; returns at once.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn remove(&self, id: InstanceId, purge_data: bool) -> anyhow::Result<()> {
        self.delete(&format!("/api/v1/instances/{id}?purge_data={purge_data}"))
            .await
    }

    /// Waits until an instance has a status and its machine did what is wanted now.
    ///
    /// # Errors
    /// When it takes longer than `limit`.
    pub async fn wait_status(
        &self,
        id: InstanceId,
        status: InstanceStatus,
        limit: Duration,
    ) -> anyhow::Result<Instance> {
        wait_for(
            limit,
            &format!("instance {id} to be {status:?}"),
            async || {
                let instance = self.instance(id).await?;
                anyhow::ensure!(
                    instance.status == status,
                    "it is {:?} ({}; error: {})",
                    instance.status,
                    instance.progress.as_deref().unwrap_or("-"),
                    instance.error_message.as_deref().unwrap_or("-")
                );
                Ok(instance)
            },
        )
        .await
    }

    /// Calls a tool by hand.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn call(
        &self,
        id: InstanceId,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<CallResponse> {
        let Value::Object(arguments) = arguments else {
            anyhow::bail!("arguments are an object")
        };
        let request = CallRequest {
            tool: tool.to_owned(),
            arguments,
        };
        self.post(&format!("/api/v1/instances/{id}/call"), &request)
            .await
    }

    /// The last lines of an instance's log.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn log_tail(&self, id: InstanceId, tail: u32) -> anyhow::Result<Vec<LogLine>> {
        let path = format!("/api/v1/instances/{id}/logs?tail={tail}");
        let answer = super::checked(self.request(Method::GET, &path).send().await?).await?;
        answer
            .text()
            .await?
            .lines()
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }

    /// An instance's log as it goes on.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn log_follow(
        &self,
        id: InstanceId,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<LogLine>> + Unpin + use<>> {
        let path = format!("/api/v1/instances/{id}/logs?tail=1&follow=true");
        let answer = super::checked(self.request(Method::GET, &path).send().await?).await?;
        let mut rest = Vec::new();
        Ok(answer.bytes_stream().flat_map(move |chunk| {
            let mut lines = Vec::new();
            match chunk {
                Ok(chunk) => rest.extend_from_slice(&chunk),
                Err(error) => lines.push(Err(anyhow::Error::from(error))),
            }
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                lines.push(serde_json::from_slice(&line).map_err(Into::into));
            }
            futures::stream::iter(lines)
        }))
    }

    /// The account's environment.
    ///
    /// # Errors
    /// When there is none.
    pub async fn environment(&self) -> anyhow::Result<Environment> {
        let answer: EnvironmentAnswer = self.get("/api/v1/environment").await?;
        answer.environment.context("the account has no environment")
    }

    /// Turns the environment on; returns at once.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn enable(&self) -> anyhow::Result<Environment> {
        self.post("/api/v1/environment/enable", &json!({})).await
    }

    /// Turns the environment off; returns at once.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn disable(&self) -> anyhow::Result<Environment> {
        self.post("/api/v1/environment/disable", &json!({})).await
    }

    /// Asks for another size of the environment's machine; returns at once.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn scale(&self, size: &str) -> anyhow::Result<Environment> {
        let request = ScaleEnvironmentRequest {
            size: size.to_owned(),
        };
        self.post("/api/v1/environment/scale", &request).await
    }

    /// Waits until the environment has a status.
    ///
    /// # Errors
    /// When it takes longer than `limit`.
    pub async fn wait_environment(
        &self,
        status: EnvironmentStatus,
        limit: Duration,
    ) -> anyhow::Result<Environment> {
        wait_for(
            limit,
            &format!("the environment to be {status:?}"),
            async || {
                let environment = self.environment().await?;
                anyhow::ensure!(
                    environment.status == status,
                    "it is {:?} (error: {})",
                    environment.status,
                    environment.error_message.as_deref().unwrap_or("-")
                );
                Ok(environment)
            },
        )
        .await
    }

    /// Sets a secret.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn put_secret(&self, name: &str, value: &str) -> anyhow::Result<Secret> {
        let request = PutSecretRequest {
            value: value.into(),
        };
        self.put(&format!("/api/v1/secrets/{name}"), &request).await
    }

    /// Sets the login at a registry.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn put_registry_login(
        &self,
        host: &str,
        username: &str,
        password: &str,
    ) -> anyhow::Result<RegistryLogin> {
        let request = PutRegistryLoginRequest {
            username: username.to_owned(),
            password: password.into(),
        };
        self.put(&format!("/api/v1/registry-logins/{host}"), &request)
            .await
    }

    /// The timeline of one object, oldest first.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn timeline(&self, object: uuid::Uuid) -> anyhow::Result<Vec<Event>> {
        let mut events: Vec<Event> = self
            .list(&format!("/api/v1/events?object_id={object}"))
            .await?;
        events.reverse();
        Ok(events)
    }

    /// What keeps an instance from serving.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn diagnose(&self, id: InstanceId) -> anyhow::Result<Diagnosis> {
        self.get(&format!("/api/v1/instances/{id}/doctor")).await
    }

    /// The statuses that an object went through, as its timeline tells.
    ///
    /// # Errors
    /// See [`super::ApiError`].
    pub async fn statuses(&self, object: uuid::Uuid) -> anyhow::Result<Vec<String>> {
        let events = self.timeline(object).await?;
        Ok(events
            .iter()
            .filter_map(|event| event.data.get("to")?.as_str().map(str::to_owned))
            .collect())
    }
}
