//! Carrying out a call: wait for leave, send, judge what came back, perhaps again.

use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use http::{Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::{Instant, sleep, timeout};

use super::{ANSWER_LIMIT, Call, Client, PATIENCE};
use crate::budget::{RateHeaders, Urgency};
use crate::envelope::{One, Resource};
use crate::error::{Error, LimitedBy, RateLimited, Reason, not_understood, refused, unanswered};
use crate::retry::{ATTEMPTS, Effect, pause};
use crate::transport::TransportError;

/// What became of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Accepted. It may still be there for a while: ask again until it is not found.
    Accepted,
    /// DigitalOcean says that there is no such thing (any more).
    NotFound,
}

/// One attempt that failed.
struct Failed {
    error: Error,
    /// How long DigitalOcean asked to wait.
    wait: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, wait: None }
    }
}

impl Client {
    /// The thing that the answer holds.
    pub(crate) async fn one<T: Resource>(&self, call: &Call) -> Result<T, Error> {
        let One(thing) = self.json(call).await?;
        Ok(thing)
    }

    /// The same; `None` when there is no such thing.
    pub(crate) async fn find<T: Resource>(&self, call: &Call) -> Result<Option<T>, Error> {
        match self.one(call).await {
            Err(error) if error.is_not_found() => Ok(None),
            found => found.map(Some),
        }
    }

    /// Whatever the answer holds.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let answer = self.send(call).await?;
        serde_json::from_slice(answer.body())
            .map_err(|error| self.scrubbed(not_understood(call.asked(), &answer, &error)))
    }

    /// Of interest is only that it was done. The answer is empty; a proxy's "200" with a page is
    /// not DigitalOcean's word that something is gone.
    pub(crate) async fn done(&self, call: &Call) -> Result<(), Error> {
        let answer = self.send(call).await?;
        let body = answer.body().trim_ascii();
        if body.is_empty() {
            return Ok(());
        }
        serde_json::from_slice::<IgnoredAny>(body)
            .map(drop)
            .map_err(|error| self.scrubbed(not_understood(call.asked(), &answer, &error)))
    }

    /// Something is to be gone.
    pub(crate) async fn remove(&self, call: &Call) -> Result<Removal, Error> {
        match self.done(call).await {
            Ok(()) => Ok(Removal::Accepted),
            Err(error) if error.is_not_found() => Ok(Removal::NotFound),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, call: &Call) -> Result<Response<Bytes>, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut attempt = 0;
        loop {
            let Failed { error, wait } = match self.attempt(call, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let error = self.scrubbed(error);
            let random = u64::from_le_bytes(self.shared.ambient.random());
            let pause = pause(attempt, random).max(wait.unwrap_or_default());
            attempt += 1;
            let again = attempt < ATTEMPTS && is_worth_repeating(call, &error);
            if !again || Instant::now() + pause > deadline {
                return Err(error);
            }
            tracing::debug!(
                operation = call.asked().operation,
                attempt,
                pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                %error,
                "asking DigitalOcean again"
            );
            sleep(pause).await;
        }
    }

    async fn attempt(&self, call: &Call, deadline: Instant) -> Result<Response<Bytes>, Failed> {
        let shared = &self.shared;
        let request = call.request(&shared.endpoint, &shared.authorization)?;
        let urgency = match call.urgency {
            Urgency::Urgent => Urgency::Urgent,
            Urgency::Ordinary => self.urgency,
        };
        let permit = shared
            .budget
            .acquire(call.meter, urgency, deadline)
            .await
            .map_err(|no_room| self.limited(no_room.until, LimitedBy::Budget))?;
        let sent = timeout(ANSWER_LIMIT, shared.transport.send(request)).await;
        let answer = sent
            .unwrap_or_else(|_| {
                let limit = ANSWER_LIMIT.as_secs();
                Err(TransportError::unanswered(format!(
                    "no answer within {limit} s"
                )))
            })
            .map_err(|error| unanswered(call.asked(), &error))?;

        let rates = RateHeaders::read(answer.headers());
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            let until = permit.limited(&rates);
            return Err(self.limited(until, LimitedBy::DigitalOcean).into());
        }
        permit.answered(&rates);
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(Failed {
            error: refused(call.asked(), &answer),
            wait: rates.retry_after,
        })
    }

    /// Without the token, should anything on the way have sent it back.
    fn scrubbed(&self, mut error: Error) -> Error {
        if let Some(failure) = error.failure_mut() {
            failure.scrub(self.shared.token.expose_secret());
        }
        error
    }

    fn limited(&self, until: Instant, by: LimitedBy) -> Error {
        let wait = until.saturating_duration_since(Instant::now());
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        let now = self.shared.ambient.now();
        Error::RateLimited(RateLimited {
            retry_at: now.checked_add_signed(wait).unwrap_or(now),
            by,
        })
    }
}

/// Whether sending it again can help and can't harm. A request that must be sent once is not sent
/// again even after a 429, which had no effect: its caller then starts over, with a fresh look.
fn is_worth_repeating(call: &Call, error: &Error) -> bool {
    if call.asked().effect == Effect::Once {
        return false;
    }
    match error {
        Error::RateLimited(limited) => limited.by == LimitedBy::DigitalOcean,
        Error::Retryable(failure) => match failure.reason {
            Reason::Unreachable(_) | Reason::Unanswered(_) | Reason::ServerError => true,
            // A gateway that restarts, but not one that is in the wrong place.
            Reason::Gateway => failure.status.is_none_or(|status| status.is_server_error()),
            _ => false,
        },
        Error::Ambiguous(_) | Error::Final(_) => false,
    }
}
