//! From the client's errors to the provider's: whether trying again can help.

use agentopia_cloud::ProviderError;

use crate::{Error, InputError};

/// What the client could not do.
pub(super) fn trouble(error: Error) -> ProviderError {
    let text = error.to_string();
    match error {
        Error::RateLimited(_) | Error::Retryable(_) | Error::Ambiguous(_) => {
            ProviderError::Retryable(text)
        }
        Error::Final(_) => ProviderError::Final(text),
    }
}

/// What can't be sent.
pub(super) fn unfit(error: InputError) -> ProviderError {
    ProviderError::Final(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Step;
    use crate::testing::{Scripted, client, refusal};

    async fn said(step: Step) -> ProviderError {
        let api = client(Scripted::new([step]));
        let name = crate::DropletName::parse("a").unwrap();
        let image = crate::droplets::ImageRef::Slug("i".into());
        let wish = crate::droplets::NewDroplet::new(name, "s", image);
        trouble(api.droplets().create(&wish).await.unwrap_err())
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_somebody_has_to_change_is_final() {
        let limit = "creating this/these droplet(s) will exceed your droplet limit";
        let found = said(refusal(422, "unprocessable_entity", limit)).await;
        assert!(
            matches!(&found, ProviderError::Final(text) if text.contains("higher droplet limit"))
        );
        let found = said(refusal(401, "Unauthorized", "Unable to authenticate you")).await;
        assert!(matches!(&found, ProviderError::Final(text) if text.contains("access token")));
        assert!(matches!(
            said(Step::NeverSent).await,
            ProviderError::Retryable(_)
        ));
        assert!(matches!(
            said(Step::Lost).await,
            ProviderError::Retryable(_)
        ));
        let found = said(refusal(503, "service_unavailable", "x")).await;
        assert!(matches!(found, ProviderError::Retryable(_)));
    }
}
