//! A circuit breaker for each instance: a server with which no connection could be opened several
//! times in a row is left alone for a while, so that a list does not wait for it each time and a call
//! fails at once and says when it is tried again. After that one connection is tried; if it fails
//! too, the rest is twice as long.
//!
//! What a server answers, even if it refuses, is no failure here; and one that was started anew
//! begins with a clean slate. A link with secrets of its own has a breaker of its own: a server that can't
//! start with one's credentials is well with another's.

use std::time::Duration;

use agentopia_domain::{InstanceId, LinkId};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::time::Instant;

use super::UpstreamError;
use crate::routes::InstanceRoute;

/// So many connections in a row have to fail first: one that is just being started may fail once.
const FAILURES: u32 = 3;
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_mins(1);

#[derive(Debug)]
struct Record {
    epoch: String,
    /// How many connections in a row could not be opened.
    failures: u32,
    /// Before this none is tried.
    rests_until: Option<Instant>,
}

/// Those that failed the last time; who is not in it is well.
#[derive(Debug, Default)]
pub(crate) struct Breakers(DashMap<(InstanceId, Option<LinkId>), Record>);

impl Breakers {
    /// Whether a connection may be tried now.
    ///
    /// # Errors
    /// How long it is left alone. Whoever comes when that is over is let through alone: for all
    /// others it goes on for `trial`, in which that one knows more.
    pub(crate) fn admit(&self, route: &InstanceRoute, trial: Duration) -> Result<(), Duration> {
        let Some(mut record) = self.0.get_mut(&route.seen_with()) else {
            return Ok(());
        };
        let Some(until) = record.rests_until.filter(|_| record.epoch == route.epoch) else {
            return Ok(());
        };
        let now = Instant::now();
        if now < until {
            return Err(until - now);
        }
        record.rests_until = Some(now + trial);
        Ok(())
    }

    /// Whether the last connection could not be opened.
    pub(crate) fn doubts(&self, route: &InstanceRoute) -> bool {
        let record = self.0.get(&route.seen_with());
        record.is_some_and(|record| record.epoch == route.epoch)
    }

    /// What came of trying; `rest` is the first one.
    pub(crate) fn learn(
        &self,
        route: &InstanceRoute,
        outcome: Result<(), &UpstreamError>,
        rest: Duration,
    ) {
        match outcome {
            Err(UpstreamError::Cancelled | UpstreamError::Unlinked) => {}
            Err(error) if is_failure(error) => self.fail(route, rest),
            Ok(()) | Err(_) => _ = self.0.remove(&route.seen_with()),
        }
    }

    fn fail(&self, route: &InstanceRoute, rest: Duration) {
        let fresh = || Record {
            epoch: route.epoch.clone(),
            failures: 0,
            rests_until: None,
        };
        let mut record = match self.0.entry(route.seen_with()) {
            Entry::Occupied(known) if known.get().epoch == route.epoch => known.into_ref(),
            Entry::Occupied(mut old) => {
                old.insert(fresh());
                old.into_ref()
            }
            Entry::Vacant(none) => none.insert(fresh()),
        };
        record.failures = record.failures.saturating_add(1);
        if let Some(more) = record.failures.checked_sub(FAILURES) {
            let rest = rest.saturating_mul(2_u32.saturating_pow(more));
            record.rests_until = Some(Instant::now() + rest.min(LONGEST_REST));
        }
    }

    pub(crate) fn forget(&self, instance: InstanceId) {
        self.0.retain(|(of, _), _| *of != instance);
    }
}

/// Whether nobody is there, or nobody who answers.
const fn is_failure(error: &UpstreamError) -> bool {
    matches!(
        error,
        UpstreamError::Unreachable
            | UpstreamError::Broken
            | UpstreamError::Timeout
            | UpstreamError::Status(500..)
    )
}

#[cfg(test)]
mod tests {
    use agentopia_domain::{AccountId, Ambient, EnvironmentId};

    use super::*;
    use crate::routes::UpstreamLocation;

    const REST: Duration = Duration::from_secs(5);
    const TRIAL: Duration = Duration::from_secs(30);

    fn route(epoch: &str) -> InstanceRoute {
        let ambient = Ambient::system();
        InstanceRoute {
            id: ambient.new_id::<InstanceId>(),
            account_id: ambient.new_id::<AccountId>(),
            name: "one".to_owned(),
            slug: "one".to_owned(),
            location: UpstreamLocation::Machine(ambient.new_id::<EnvironmentId>()),
            epoch: epoch.to_owned(),
            rest: crate::routes::Rest::Never,
            available: Ok(()),
            credentials: None,
        }
    }

    async fn pass(span: Duration) {
        tokio::time::advance(span).await;
    }

    #[tokio::test(start_paused = true)]
    async fn after_three_failures_it_rests_and_then_one_may_try() {
        let (breakers, route) = (Breakers::default(), route("1"));
        let fails = || breakers.learn(&route, Err(&UpstreamError::Timeout), REST);
        let admit = || breakers.admit(&route, TRIAL);
        for _ in 0..2 {
            fails();
            assert_eq!(admit(), Ok(()));
        }
        assert!(breakers.doubts(&route));
        fails();
        assert_eq!(admit(), Err(REST));
        pass(REST).await;
        assert_eq!(admit(), Ok(()), "one tries");
        assert_eq!(admit(), Err(TRIAL), "the others wait for what comes of it");
        fails();
        assert_eq!(admit(), Err(REST * 2));
        for _ in 0..40 {
            fails();
        }
        assert_eq!(admit(), Err(LONGEST_REST));
        pass(LONGEST_REST).await;
        assert_eq!(admit(), Ok(()));
        breakers.learn(&route, Ok(()), REST);
        assert!(!breakers.doubts(&route));
        assert_eq!(admit(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_no_failure_and_a_new_start_begins_anew() {
        let (breakers, before) = (Breakers::default(), route("1"));
        for _ in 0..9 {
            breakers.learn(&before, Err(&UpstreamError::Status(404)), REST);
            breakers.learn(&before, Err(&UpstreamError::Cancelled), REST);
        }
        assert!(!breakers.doubts(&before));
        for _ in 0..9 {
            breakers.learn(&before, Err(&UpstreamError::Unreachable), REST);
        }
        assert!(breakers.admit(&before, TRIAL).is_err());
        let after = InstanceRoute {
            epoch: "2".to_owned(),
            ..before
        };
        assert_eq!(breakers.admit(&after, TRIAL), Ok(()));
        breakers.learn(&after, Err(&UpstreamError::Unreachable), REST);
        assert_eq!(breakers.admit(&after, TRIAL), Ok(()), "it is the first");
    }
}
