//! Setting up, signing in, personal tokens, users.

use agentopia_api::SESSION_COOKIE;
use agentopia_api::auth::{ChangePasswordRequest, Session, SetupRequest, SignInRequest};
use agentopia_api::token::{CreatePersonalTokenRequest, CreatedToken, Token};
use agentopia_api::user::{CreateUserRequest, UpdateUserRequest, User};
use agentopia_domain::{ApiTokenId, UserId};
use reqwest::Method;
use reqwest::header::SET_COOKIE;
use secrecy::SecretString;
use serde::Serialize;

use super::{ANSWER_TIMEOUT, Client, ClientError, Credentials, read};

/// A session just begun.
#[derive(Debug)]
pub(crate) struct SignedIn {
    /// Who.
    pub(crate) user: User,
    /// Acts in the session.
    pub(crate) client: Client,
}

impl Client {
    /// Makes the first admin and signs them in.
    pub(crate) async fn set_up(&self, request: &SetupRequest) -> Result<SignedIn, ClientError> {
        self.begin_session("setup", request).await
    }

    /// Signs in by e-mail and password.
    pub(crate) async fn sign_in(&self, request: &SignInRequest) -> Result<SignedIn, ClientError> {
        self.begin_session("session", request).await
    }

    async fn begin_session(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<SignedIn, ClientError> {
        let request = self
            .http
            .post(self.url(&[path]))
            .json(body)
            .timeout(ANSWER_TIMEOUT);
        let response = self.send(request).await?;
        let cookie = response
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter_map(|text| text.split(';').next()?.split_once('='))
            .find(|(name, _)| name.trim() == SESSION_COOKIE)
            .map(|(_, value)| SecretString::from(value.trim()));
        let status = response.status();
        let request_id = super::error::request_id(&response);
        let session: Session = read(response).await?;
        let (Some(cookie), Some(csrf)) = (cookie, session.csrf_token) else {
            return Err(ClientError::Unexpected {
                url: self.base.origin().ascii_serialization(),
                status,
                request_id,
            });
        };
        let credentials = Credentials::Session {
            cookie,
            csrf: SecretString::from(csrf),
        };
        Ok(SignedIn {
            user: session.user,
            client: Self::new(self.base.clone(), credentials)?,
        })
    }

    /// Ends the session that this client acts in.
    pub(crate) async fn sign_out(&self) -> Result<(), ClientError> {
        self.delete(&["session"]).await
    }

    /// Changes the password of whoever this client's session is of. The session ends.
    pub(crate) async fn change_password(
        &self,
        request: &ChangePasswordRequest,
    ) -> Result<(), ClientError> {
        let _next: Session = self.change(Method::POST, &["password"], request).await?;
        Ok(())
    }

    /// Who is signed in.
    pub(crate) async fn whoami(&self) -> Result<Session, ClientError> {
        self.get(&["session"], &[]).await
    }

    /// Makes a personal token.
    pub(crate) async fn create_token(
        &self,
        request: &CreatePersonalTokenRequest,
    ) -> Result<CreatedToken, ClientError> {
        self.change(Method::POST, &["tokens"], request).await
    }

    /// The personal tokens, revoked ones too.
    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, ClientError> {
        self.list(&["tokens"], &[], None).await
    }

    /// Takes a personal token back.
    pub(crate) async fn revoke_token(&self, id: ApiTokenId) -> Result<(), ClientError> {
        self.delete(&["tokens", &id.to_string()]).await
    }

    /// Everybody who can sign in.
    pub(crate) async fn users(&self) -> Result<Vec<User>, ClientError> {
        self.list(&["users"], &[], None).await
    }

    /// Adds a user.
    pub(crate) async fn create_user(
        &self,
        request: &CreateUserRequest,
    ) -> Result<User, ClientError> {
        self.change(Method::POST, &["users"], request).await
    }

    /// Shuts a user out or lets them in again.
    pub(crate) async fn update_user(
        &self,
        id: UserId,
        request: &UpdateUserRequest,
    ) -> Result<User, ClientError> {
        self.change(Method::PATCH, &["users", &id.to_string()], request)
            .await
    }
}
