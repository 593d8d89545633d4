//! Waiting until what was asked for has come about.
//!
//! The server is asked again and again: densely at first, because much is done within a second and
//! people and scripts wait for it, then in proportion to the time gone by. A server that is away
//! for a moment (it restarts) does not end the waiting.

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::values::duration;

const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(500);

/// What every command takes that starts something long.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Return at once instead of waiting until it is done.
    #[arg(long)]
    pub(crate) detach: bool,
    /// How long to wait; what was asked for goes on afterwards. Exit status 124 if it passes.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(crate) wait_timeout: Duration,
}

/// What a look at the server found.
#[derive(Debug)]
pub(crate) enum Look<T> {
    /// Not done; this goes on.
    Going(String),
    /// Done.
    Done(T),
}

/// Looks until it is done, fails, or takes too long. `later` says how to see what becomes of it.
pub(crate) async fn until<T>(
    limit: Duration,
    progress: &mut Progress,
    later: &str,
    mut look: impl AsyncFnMut() -> Result<Look<T>, Failure>,
) -> Result<T, Failure> {
    let began = Instant::now();
    let mut last = String::new();
    let ended = tokio::time::timeout(limit, async {
        loop {
            match look().await {
                Ok(Look::Done(value)) => return Ok(value),
                Ok(Look::Going(step)) => {
                    progress.step(&step);
                    last = step;
                }
                Err(Failure::Client(error)) if error.is_passing() => {
                    "the server does not answer, trying again".clone_into(&mut last);
                    progress.step(&last);
                }
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(pause(began.elapsed())).await;
        }
    })
    .await;
    ended.unwrap_or_else(|_| {
        let state = if last.is_empty() { "no answer" } else { &last };
        Err(Failure::TimedOut(format!(
            "not done after {} ({state}); it goes on, see: {later}",
            humantime::format_duration(limit)
        )))
    })
}

/// How long to pause after `gone`: a sixteenth of it.
fn pause(gone: Duration) -> Duration {
    (gone / 16).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientError;
    use crate::output::{Format, Output};

    fn silent() -> Progress {
        Progress::new(Output::new(&crate::cli::Global {
            output: Format::Json,
            quiet: true,
            context: None,
        }))
    }

    #[test]
    fn pauses_grow_with_the_time_gone_by() {
        assert_eq!(pause(Duration::ZERO), SHORTEST);
        assert_eq!(
            pause(Duration::from_secs(1)),
            Duration::from_millis(62) + Duration::from_micros(500)
        );
        assert_eq!(pause(Duration::from_secs(3600)), LONGEST);
    }

    #[tokio::test]
    async fn a_server_that_is_away_for_a_moment_is_waited_for() {
        let mut looks = 0;
        let found = until(Duration::from_secs(60), &mut silent(), "x", async || {
            looks += 1;
            match looks {
                1 => Ok(Look::Going("starting".into())),
                2 => Err(Failure::Client(ClientError::Unreachable {
                    url: "u".into(),
                    reason: "r".into(),
                })),
                _ => Ok(Look::Done(looks)),
            }
        })
        .await;
        assert_eq!(found.unwrap(), 3);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_learns_what_goes_on_and_where_to_look() {
        let ended = until(
            Duration::from_millis(200),
            &mut silent(),
            "agentopia tools show x",
            async || Ok::<Look<()>, _>(Look::Going("pulling image".into())),
        )
        .await;
        let Err(Failure::TimedOut(text)) = ended else {
            panic!("{ended:?}");
        };
        assert!(
            text.contains("200ms") && text.contains("pulling image"),
            "{text}"
        );
        assert!(text.contains("agentopia tools show x"), "{text}");
    }

    #[tokio::test]
    async fn a_failure_ends_it() {
        let ended = until(Duration::from_secs(60), &mut silent(), "x", async || {
            Err::<Look<()>, _>(Failure::NotFound("gone".into()))
        })
        .await;
        assert!(matches!(ended, Err(Failure::NotFound(_))), "{ended:?}");
    }
}
