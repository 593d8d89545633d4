//! Faults of requests: what is answered in place of the right answer.

use serde::{Deserialize, Serialize};

use super::path::PathPattern;
use super::when::{Rule, When};

/// A rule for requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRule {
    /// Only this method; any by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only paths like this; any by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathPattern>,
    /// Which of them.
    #[serde(default)]
    pub when: When,
    /// What is answered.
    pub answer: Answer,
    /// Whether the request has been carried out by then.
    #[serde(default)]
    pub side_effect: SideEffect,
}

/// What is answered in place of the right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// 429 of the limit per minute, with `retry-after`.
    #[serde(rename = "429-burst")]
    TooManyBurst,
    /// 429 of the limit per hour, without `retry-after` and with nothing remaining.
    #[serde(rename = "429-hourly")]
    TooManyHourly,
    /// 500 in the API's error shape.
    #[serde(rename = "500")]
    ServerError,
    /// 502 in the API's error shape.
    #[serde(rename = "502")]
    BadGateway,
    /// 503 in the API's error shape.
    #[serde(rename = "503")]
    Unavailable,
    /// 504 as a page of HTML, from a gateway in front of the API.
    #[serde(rename = "504-html")]
    GatewayTimeout,
    /// No answer: the connection is closed.
    #[serde(rename = "closed")]
    Closed,
    /// No answer: the connection is held open until the client gives up.
    #[serde(rename = "silent")]
    Silent,
}

/// Whether a request was carried out before it went wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SideEffect {
    /// It was not: nothing has happened.
    #[default]
    Before,
    /// It was: the client can't know.
    After,
}

/// A fault that bites a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RequestFault {
    /// What is answered.
    pub answer: Answer,
    /// Whether the request has been carried out by then.
    pub side_effect: SideEffect,
}

/// A lost answer, as a response extension: what a client in the same process has to make of it.
///
/// The response that carries it has status 599 and no body, which no client takes for an answer.
/// [`crate::serve`] closes the connection or holds it open instead of sending it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerLost {
    /// Fail as a closed connection does.
    Closed,
    /// Never answer.
    Silent,
}

impl RequestRule {
    /// Every request, before its side effect.
    #[must_use]
    pub fn new(answer: Answer) -> Self {
        Self {
            method: None,
            path: None,
            when: When::always(),
            answer,
            side_effect: SideEffect::Before,
        }
    }

    /// Only this kind of call.
    #[must_use]
    pub fn on(self, method: &str, path: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            path: Some(path.into()),
            ..self
        }
    }

    /// Only these of them.
    #[must_use]
    pub fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// Only after the side effect.
    #[must_use]
    pub fn after_side_effect(self) -> Self {
        Self {
            side_effect: SideEffect::After,
            ..self
        }
    }

    pub(super) fn matches(&self, method: &str, path: &str) -> bool {
        self.method
            .as_deref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|wanted| wanted.matches(path))
    }

    pub(super) fn fault(&self) -> RequestFault {
        RequestFault {
            answer: self.answer,
            side_effect: self.side_effect,
        }
    }
}

impl Rule for RequestRule {
    fn when(&self) -> When {
        self.when
    }
}
