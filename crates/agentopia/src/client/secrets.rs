//! Secrets and registry logins.

use agentopia_api::registry_login::{PutRegistryLoginRequest, RegistryLogin};
use agentopia_api::secret::{PutSecretRequest, Secret};
use reqwest::Method;

use super::{Client, ClientError};

impl Client {
    /// The secrets, without their values.
    pub(crate) async fn secrets(&self) -> Result<Vec<Secret>, ClientError> {
        self.list(&["secrets"], &[], None).await
    }

    /// Sets a secret's value.
    pub(crate) async fn put_secret(
        &self,
        name: &str,
        request: &PutSecretRequest,
    ) -> Result<Secret, ClientError> {
        self.change(Method::PUT, &["secrets", name], request).await
    }

    /// Takes a secret away.
    pub(crate) async fn remove_secret(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&["secrets", name]).await
    }

    /// The registry logins, without their passwords.
    pub(crate) async fn registry_logins(&self) -> Result<Vec<RegistryLogin>, ClientError> {
        self.list(&["registry-logins"], &[], None).await
    }

    /// Sets the login at a registry.
    pub(crate) async fn put_registry_login(
        &self,
        host: &str,
        request: &PutRegistryLoginRequest,
    ) -> Result<RegistryLogin, ClientError> {
        self.change(Method::PUT, &["registry-logins", host], request)
            .await
    }

    /// Takes the login at a registry away.
    pub(crate) async fn remove_registry_login(&self, host: &str) -> Result<(), ClientError> {
        self.delete(&["registry-logins", host]).await
    }
}
