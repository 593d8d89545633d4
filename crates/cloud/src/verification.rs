//! A limit on the time that one check of an installation may take (TOOL-12): what hangs is named
//! and holds up nothing else.

use std::time::Duration;

use agentopia_domain::verification::Check;
use tokio::time::timeout;

/// How long one check may take.
pub const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// What a check finds; after [`CHECK_LIMIT`] that it found nothing. `name` is the check's.
pub async fn within(name: &str, check: impl Future<Output = Check>) -> Check {
    timeout(CHECK_LIMIT, check).await.unwrap_or_else(|_| {
        Check::failed(
            name,
            format!(
                "there was no answer within {} s; look whether the other side and the way to it \
                 work, then verify again",
                CHECK_LIMIT.as_secs()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use agentopia_domain::verification::Outcome;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_named_and_does_not_hang_the_rest() {
        let (hangs, answers) = tokio::join!(
            within("hangs", std::future::pending()),
            within("answers", async { Check::ok("answers", "fine") }),
        );
        assert_eq!(
            (hangs.name.as_str(), hangs.outcome),
            ("hangs", Outcome::Failed)
        );
        assert_eq!(answers, Check::ok("answers", "fine"));
    }
}
