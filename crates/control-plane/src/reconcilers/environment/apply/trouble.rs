//! What becomes of an environment whose provider says no.

use agentopia_cloud::ProviderError;
use agentopia_domain::environment::{EnvironmentEvent, EnvironmentStatus};
use agentopia_domain::event::Outcome;
use agentopia_store::{Claim, EnvironmentPatch};

use super::{EnvironmentReconciler, PROVIDER_RETRY};
use crate::reconcilers::queue::Next;

impl EnvironmentReconciler {
    /// Writes down what the provider said. What may work later is tried again; the rest ends the
    /// attempt, and the account can try again when it was changed.
    pub(super) async fn provider_trouble(
        &self,
        claim: Claim,
        error: &anyhow::Error,
    ) -> anyhow::Result<Next> {
        let Some(trouble) = error.downcast_ref::<ProviderError>() else {
            anyhow::bail!("{error:#}");
        };
        let environment = self
            .store
            .environments()
            .get_unscoped(claim.environment())
            .await?;
        let message = trouble.to_string();
        let told =
            environment.status.serves() || environment.status == EnvironmentStatus::ErrorCreation;
        if matches!(trouble, ProviderError::Retryable(_)) && told {
            // Its tools may well answer all the while, or its owner was told what to do: that stays.
            tracing::warn!(environment = %environment.id, %message, "the provider is asked again");
            return Ok(Next::After(PROVIDER_RETRY));
        }
        let before = environment.error_message.as_deref();
        let known =
            before.is_some_and(|before| without_request(before) == without_request(&message));
        let events = if known {
            Vec::new()
        } else {
            let event = self.event(&environment, "environment.provider_failed", &message);
            vec![event.outcome(Outcome::Failed)]
        };
        let patch = EnvironmentPatch {
            error_message: Some(Some(message.clone())),
            ..EnvironmentPatch::default()
        };
        self.update(claim, patch, &events).await?;
        if let ProviderError::Final(_) = trouble {
            let event = match environment.status {
                status if status.on(EnvironmentEvent::CreateFailed).is_ok() => {
                    Some(EnvironmentEvent::CreateFailed)
                }
                status if status.on(EnvironmentEvent::DeleteFailed).is_ok() => {
                    Some(EnvironmentEvent::DeleteFailed)
                }
                _ => None,
            };
            if let Some(event) = event {
                self.transition(claim, &environment, event, &message)
                    .await?;
            }
        }
        Ok(Next::After(PROVIDER_RETRY))
    }
}

/// A provider's sentence without the id of the one request that it is about: two that differ in
/// nothing else tell the same.
pub(super) fn without_request(sentence: &str) -> String {
    let Some((before, rest)) = sentence.split_once("request ") else {
        return sentence.to_owned();
    };
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    format!("{before}{}", &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::without_request;

    #[test]
    fn sentences_that_differ_in_the_request_only_are_the_same() {
        let said = |id: &str| {
            format!("can't read a droplet: no (HTTP 500, server_error, request {id}); try again")
        };
        assert_eq!(
            without_request(&said("a-1")),
            without_request(&said("b-22"))
        );
        let other = said("a-1").replace("500", "503");
        assert_ne!(without_request(&said("a-1")), without_request(&other));
        assert_eq!(without_request("no request"), "no request");
    }
}
