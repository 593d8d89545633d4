//! Hands out the access tokens of logins, and renews them: before they are over, and when a server does
//! not take one ([`renewal`]).
//!
//! A refresh token may be good for one use only, and a second use may end the whole login. So in this
//! process one request at a time renews a login and the others wait for it, and of all replicas the one
//! that holds the lease in the store does; the others look for what it wrote. A refusal that will not
//! change is written down: the owner has to log in again.

mod renewal;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::event::{NewEvent, ObjectKind, Outcome};
use agentopia_domain::{AccountId, Ambient, InstanceId};
use agentopia_remote::RemoteClient;
use agentopia_store::{LoginProblem, Store, StoreError, UpstreamLogin};
use agentopia_vault::Vault;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::time::Instant;
use uuid::Uuid;

use super::challenge::Challenge;
use super::sealed::{self, Kept};
use super::{how_to_log_in, shown};

/// How long tokens are handed out without a look at the store.
const FRESH: Duration = Duration::from_secs(15);

/// See the module's header.
#[derive(Debug)]
pub struct UpstreamTokens {
    store: Store,
    vault: Arc<dyn Vault>,
    client: RemoteClient,
    ambient: Ambient,
    /// This process, in leases.
    owner: Uuid,
    held: Mutex<HashMap<InstanceId, (Instant, Arc<Held>)>>,
    turns: Mutex<HashMap<InstanceId, Arc<tokio::sync::Mutex<()>>>>,
    /// Renewals that failed a moment ago.
    failed: Mutex<HashMap<InstanceId, (Instant, String)>>,
}

/// Tokens of one login as they were read last.
#[derive(Debug)]
struct Held {
    account: AccountId,
    sealed_id: Uuid,
    issuer: String,
    kept: Kept,
    renew_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

/// A token to show.
#[derive(Debug, Clone)]
pub struct Token {
    /// Which it is.
    pub id: Uuid,
    /// What goes after `Bearer`.
    pub value: SecretString,
}

/// Whose login, and what its instance is called.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The account.
    pub account: AccountId,
    /// The instance.
    pub instance: InstanceId,
    /// Its name.
    pub name: &'a str,
}

/// Why there is no token; the texts are for people and agents.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// The owner has to do something.
    #[error("{0}")]
    LogIn(String),
    /// It may be different in a moment.
    #[error("{0}")]
    Later(String),
}

impl UpstreamTokens {
    /// Nothing is read or sent yet.
    #[must_use]
    pub fn new(
        store: Store,
        vault: Arc<dyn Vault>,
        client: RemoteClient,
        ambient: Ambient,
    ) -> Self {
        Self {
            owner: ambient.new_id(),
            store,
            vault,
            client,
            ambient,
            held: Mutex::default(),
            turns: Mutex::default(),
            failed: Mutex::default(),
        }
    }

    /// The token to show to the server of an instance.
    ///
    /// # Errors
    /// See [`NoToken`].
    pub async fn token(&self, whose: Whose<'_>) -> Result<Token, NoToken> {
        if let Some(held) = self.fresh(whose.instance)
            && !self.is_due(&held)
        {
            return Ok(held.token());
        }
        let _turn = self.turn(whose.instance).await;
        let held = self.current(whose).await?;
        if !self.is_due(&held) {
            return Ok(held.token());
        }
        match self.renew(whose, &held).await {
            Ok(new) => Ok(new.token()),
            // It is good for a moment yet.
            Err(NoToken::Later(why)) if !self.is_over(&held) => {
                tracing::info!(instance = %whose.instance, why, "a login is not renewed yet");
                Ok(held.token())
            }
            Err(error) => Err(error),
        }
    }

    /// The next token after the server did not take the one that is called `refused`.
    ///
    /// # Errors
    /// See [`NoToken`].
    pub async fn after(&self, whose: Whose<'_>, refused: Uuid) -> Result<Token, NoToken> {
        let _turn = self.turn(whose.instance).await;
        let held = self.current(whose).await?;
        if held.sealed_id != refused {
            return Ok(held.token());
        }
        Ok(self.renew(whose, &held).await?.token())
    }

    /// Writes down that no token of this login is taken any more.
    pub async fn refused(&self, whose: Whose<'_>, token: Uuid, issuer: Option<&str>) -> NoToken {
        let at = issuer.map_or_else(String::new, |issuer| format!(" of {issuer}"));
        let why = format!("the server does not take the tokens{at} any more");
        self.over(whose, token, &why).await
    }

    /// Writes down that the server wants a login that nobody made yet.
    pub async fn wanted(&self, whose: Whose<'_>, challenge: &Challenge) -> String {
        let text = format!("the server wants a login; {}", how_to_log_in(whose.name));
        let problem = LoginProblem {
            text: text.clone(),
            wanted_scope: challenge.scope.as_deref().map(shown),
            forget_tokens: false,
        };
        self.write_down(whose, None, problem).await;
        text
    }

    /// Writes down that the server wants a token that is good for more.
    pub async fn wants_more(&self, whose: Whose<'_>, token: Uuid, challenge: &Challenge) -> String {
        let wanted = challenge.scope.as_deref().map(shown);
        let what = wanted.as_deref().unwrap_or("more than it was given");
        let how = how_to_log_in(whose.name);
        let text = format!("the server wants {what} allowed for this; {how}");
        let problem = LoginProblem {
            text: text.clone(),
            wanted_scope: wanted,
            forget_tokens: false,
        };
        self.write_down(whose, Some(token), problem).await;
        text
    }

    fn fresh(&self, instance: InstanceId) -> Option<Arc<Held>> {
        let held = self.held.lock();
        let (read, held) = held.get(&instance)?;
        (read.elapsed() < FRESH).then(|| Arc::clone(held))
    }

    fn keep(&self, instance: InstanceId, held: &Arc<Held>) {
        let mut all = self.held.lock();
        all.retain(|_, (read, _)| read.elapsed() < FRESH);
        all.insert(instance, (Instant::now(), Arc::clone(held)));
    }

    fn is_due(&self, held: &Held) -> bool {
        held.renew_at.is_some_and(|at| at <= self.ambient.now())
    }

    fn is_over(&self, held: &Held) -> bool {
        held.expires_at.is_some_and(|at| at <= self.ambient.now())
    }

    /// One at a time for each instance.
    async fn turn(&self, instance: InstanceId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock();
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(instance).or_default())
        };
        turn.lock_owned().await
    }

    /// What the store has now.
    async fn current(&self, whose: Whose<'_>) -> Result<Arc<Held>, NoToken> {
        let logins = self.store.upstream_logins();
        let read = logins.get_unscoped(whose.instance).await.map_err(later)?;
        let Some(login) = read else {
            return Err(self.none(whose, None));
        };
        let known = self.held.lock().get(&whose.instance).cloned();
        if let Some((_, held)) = known
            && held.sealed_id == login.sealed_id
            && login.sealed.is_some()
        {
            self.keep(whose.instance, &held);
            return Ok(held);
        }
        let held = Arc::new(self.open(whose, login).await?);
        self.keep(whose.instance, &held);
        Ok(held)
    }

    async fn open(&self, whose: Whose<'_>, login: UpstreamLogin) -> Result<Held, NoToken> {
        let Some(bytes) = &login.sealed else {
            return Err(self.none(whose, login.problem));
        };
        let of = (login.account_id, login.instance_id);
        let kept = sealed::open(&*self.vault, of, login.sealed_id, bytes).await;
        let kept = kept.map_err(|error| {
            tracing::warn!(instance = %whose.instance, %error, "a login can't be read");
            NoToken::Later("its login can't be read".to_owned())
        })?;
        Ok(Held {
            account: login.account_id,
            sealed_id: login.sealed_id,
            issuer: login.issuer.unwrap_or_default(),
            kept,
            renew_at: login.renew_at,
            expires_at: login.expires_at,
        })
    }

    fn none(&self, whose: Whose<'_>, problem: Option<String>) -> NoToken {
        self.held.lock().remove(&whose.instance);
        NoToken::LogIn(problem.unwrap_or_else(|| how_to_log_in(whose.name)))
    }

    async fn over(&self, whose: Whose<'_>, token: Uuid, why: &str) -> NoToken {
        let text = format!("{why}; {}", how_to_log_in(whose.name));
        let problem = LoginProblem {
            text: text.clone(),
            wanted_scope: None,
            forget_tokens: true,
        };
        self.write_down(whose, Some(token), problem).await;
        self.held.lock().remove(&whose.instance);
        NoToken::LogIn(text)
    }

    async fn write_down(&self, whose: Whose<'_>, token: Option<Uuid>, problem: LoginProblem) {
        let object = (ObjectKind::Instance, whose.instance.as_uuid());
        let said = format!("{}: {}", whose.name, problem.text);
        let event = NewEvent::system(whose.account, "instance.login_needed", object, said);
        let events = [event.outcome(Outcome::Failed)];
        let logins = self.store.upstream_logins();
        let done = logins.needed(whose.account, whose.instance, token, problem, &events);
        if let Err(error) = done.await {
            tracing::warn!(instance = %whose.instance, %error, "a needed login is not written down");
        }
    }
}

impl Held {
    fn token(&self) -> Token {
        Token {
            id: self.sealed_id,
            value: self.kept.access_token.clone(),
        }
    }
}

fn later(error: StoreError) -> NoToken {
    tracing::warn!(%error, "a login can't be read or written");
    NoToken::Later("its login can't be read right now".to_owned())
}
