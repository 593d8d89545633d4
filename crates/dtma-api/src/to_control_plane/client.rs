//! The DTMA's client of the control plane.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_pki::MachineKey;
use agentopia_pki::tls::{CaTrust, machine_client_config};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Credentials, EnrolRequest, Heartbeat, HeartbeatReply, OwnSecretsReply, OwnSecretsRequest,
    OwnSecretsUse, RenewRequest, SecretsReply, SecretsRequest, path,
};
use crate::http::{accepted, json};
use crate::{PROTOCOL, PROTOCOL_HEADER};

pub use crate::http::CallError as ControlPlaneError;

const WHO: &str = "the control plane";

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a whole request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// What a machine shows of itself once it is enrolled.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its certificate.
    pub certificate_pem: String,
    /// The key of the certificate.
    pub key: Arc<MachineKey>,
    /// Its bearer token.
    pub bearer: SecretString,
}

/// Calls the control plane. Cheap to clone; connections are pooled.
#[derive(Debug, Clone)]
pub struct ControlPlaneClient {
    http: reqwest::Client,
    base: Url,
    bearer: Option<SecretString>,
}

impl ControlPlaneClient {
    /// A client for the control plane at `base` (`https://host:port`). Without an `identity` only
    /// [`Self::enrol`] and [`Self::renew`] work.
    ///
    /// # Errors
    /// When key, certificate and CA don't fit together.
    pub fn new(
        base: Url,
        trust: &CaTrust,
        identity: Option<&Identity>,
    ) -> Result<Self, ControlPlaneError> {
        let shown = identity.map(|own| (own.certificate_pem.as_str(), own.key.as_ref()));
        let tls = machine_client_config(shown, trust)
            .map_err(|error| ControlPlaneError::Protocol(WHO, error.to_string()))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT)
            .build()
            .map_err(|error| ControlPlaneError::Protocol(WHO, error.to_string()))?;
        Ok(Self {
            http,
            base,
            bearer: identity.map(|own| own.bearer.clone()),
        })
    }

    /// Redeems the one-time token.
    ///
    /// # Errors
    /// [`ControlPlaneError::Refused`] with `enrolment_refused` when the token is unknown, used,
    /// expired or meant for another machine.
    pub async fn enrol(&self, request: &EnrolRequest) -> Result<Credentials, ControlPlaneError> {
        json(WHO, self.post(path::ENROL).json(request).send().await).await
    }

    /// Renews credentials; `bearer` is the token of the credentials before.
    ///
    /// # Errors
    /// [`ControlPlaneError::Refused`] with `credentials_locked` when a clone was detected, with
    /// `credentials_revoked` when the environment is gone.
    pub async fn renew(
        &self,
        request: &RenewRequest,
        bearer: &SecretString,
    ) -> Result<Credentials, ControlPlaneError> {
        let call = self.post(path::RENEW).bearer_auth(bearer.expose_secret());
        json(WHO, call.json(request).send().await).await
    }

    /// Tells how the machine and its instances are.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    pub async fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatReply, ControlPlaneError> {
        json(
            WHO,
            self.authenticated(path::HEARTBEAT).json(beat).send().await,
        )
        .await
    }

    /// Fetches the secrets of an instance right before its start.
    ///
    /// # Errors
    /// [`ControlPlaneError::Refused`] with `not_found` when the instance is not this machine's.
    pub async fn secrets(
        &self,
        instance: InstanceId,
        request: &SecretsRequest,
    ) -> Result<SecretsReply, ControlPlaneError> {
        json(
            WHO,
            self.authenticated(&path::secrets(instance))
                .json(request)
                .send()
                .await,
        )
        .await
    }

    /// Fetches the secrets of a link right before a process is started with them.
    ///
    /// # Errors
    /// [`ControlPlaneError::Refused`] with `not_found` when the link is switched off, leads elsewhere or
    /// carries none.
    pub async fn own_secrets(
        &self,
        request: &OwnSecretsRequest,
    ) -> Result<OwnSecretsReply, ControlPlaneError> {
        let call = self.authenticated(path::OWN_SECRETS).json(request);
        json(WHO, call.send().await).await
    }

    /// Of the uses of links' secrets, those that are over: the link is gone, switched off, or carries
    /// others by now.
    ///
    /// # Errors
    /// See [`ControlPlaneError`].
    pub async fn own_secrets_over(
        &self,
        uses: &[OwnSecretsUse],
    ) -> Result<Vec<OwnSecretsUse>, ControlPlaneError> {
        let call = self.authenticated(path::OWN_SECRETS_IN_USE).json(uses);
        json(WHO, call.send().await).await
    }

    /// Begins to fetch a program; the body is read by the caller, who knows what it has to be.
    ///
    /// # Errors
    /// [`ControlPlaneError::Refused`] with `unknown_program` where the control plane has none.
    pub async fn download(
        &self,
        program: &str,
        limit: Duration,
    ) -> Result<reqwest::Response, ControlPlaneError> {
        let mut url = self.base.clone();
        url.set_path(&path::download(program));
        let call = self.http.get(url).header(PROTOCOL_HEADER, PROTOCOL);
        accepted(WHO, self.authorized(call).timeout(limit).send().await).await
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        self.http.post(url).header(PROTOCOL_HEADER, PROTOCOL)
    }

    fn authenticated(&self, path: &str) -> reqwest::RequestBuilder {
        self.authorized(self.post(path))
    }

    fn authorized(&self, call: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.bearer {
            Some(bearer) => call.bearer_auth(bearer.expose_secret()),
            None => call,
        }
    }
}
