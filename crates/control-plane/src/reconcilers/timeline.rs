//! How a change of status reads in the timeline.

use agentopia_domain::AccountId;
use agentopia_domain::event::{NewEvent, ObjectKind, Outcome};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

/// A change of status of one object.
#[derive(Debug)]
pub(super) struct Change<'a, S> {
    pub(super) account: AccountId,
    pub(super) kind: &'static str,
    pub(super) object: (ObjectKind, Uuid),
    /// What people call it.
    pub(super) name: &'a str,
    pub(super) from: S,
    pub(super) to: S,
    pub(super) reason: &'a str,
    pub(super) error: Option<&'a str>,
}

impl<S: Serialize> Change<'_, S> {
    pub(super) fn into_event(self) -> NewEvent {
        let word = |status: &S| {
            let word = serde_json::to_value(status).unwrap_or_default();
            word.as_str().unwrap_or_default().replace('_', " ")
        };
        let mut message = format!("{} is {}: {}.", self.name, word(&self.to), self.reason);
        if let Some(error) = self.error {
            message.push(' ');
            message.push_str(error);
        }
        tracing::info!(account = %self.account, object = %self.object.1, "{message}");
        let outcome = if self.error.is_some() {
            Outcome::Failed
        } else {
            Outcome::Succeeded
        };
        NewEvent::system(self.account, self.kind, self.object, message)
            .outcome(outcome)
            .data(json!({
                "from": self.from,
                "to": self.to,
                "reason": self.reason,
                "error": self.error,
            }))
    }
}
