//! How many calls may be made in a minute (AGT-8): for each agent or person, for each account, and for
//! each tool of an instance, so that one agent that runs in circles neither starves the others nor floods
//! a server. Checked before anything goes upstream.
//!
//! Token buckets of the crate `governor` (GCRA: one number for each key, no timers). Each replica has its
//! own: with `n` of them behind one address up to `n` times as many calls pass.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::time::Duration;

use agentopia_domain::{AccountId, InstanceId};
use agentopia_mcp::{Envelope, ErrorCode, Field, RpcError, method};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use crate::quotas::UsedUp;

/// Refused for now; the same call may pass later. `data.retryAfterMs` says when.
const TOO_MANY: ErrorCode = ErrorCode(-32005);
/// So much of a minute's calls may come at once.
const BURST: u32 = 6;

/// Calls a minute; `None` is as many as anybody likes. A sixth of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Of one agent, with whatever token; or of one person.
    pub agent: Option<NonZeroU32>,
    /// Of one account, with whatever agent.
    pub account: Option<NonZeroU32>,
    /// To one tool, prompt or resource of an instance, by whomever.
    pub tool: Option<NonZeroU32>,
}

impl CallLimits {
    /// No limits.
    pub const NONE: Self = Self {
        agent: None,
        account: None,
        tool: None,
    };
}

impl Default for CallLimits {
    /// Far more than agents make that do something useful.
    fn default() -> Self {
        Self {
            agent: NonZeroU32::new(3_000),
            account: NonZeroU32::new(12_000),
            tool: NonZeroU32::new(6_000),
        }
    }
}

/// A call that was one too many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// Whose.
    of: &'static str,
    /// How many there may be.
    limit: NonZeroU32,
    /// In which time.
    per: &'static str,
    /// When it is worth trying again.
    wait: Duration,
}

impl TooMany {
    /// For the `Retry-After` header: whole seconds, never too few.
    pub(crate) fn seconds(&self) -> u64 {
        self.wait.as_millis().div_ceil(1000).max(1) as u64
    }

    pub(crate) fn to_rpc(&self) -> RpcError {
        let Self { of, limit, per, .. } = self;
        let seconds = self.seconds();
        let sentence = format!(
            "too many calls of this {of}: {limit} {per} are allowed; try again in {seconds} s"
        );
        let wait = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
        RpcError::new(TOO_MANY, sentence).with_data(&serde_json::json!({ "retryAfterMs": wait }))
    }
}

impl From<UsedUp> for TooMany {
    fn from(used_up: UsedUp) -> Self {
        Self {
            of: used_up.of,
            limit: used_up.limit,
            per: "a day (UTC)",
            wait: used_up.wait,
        }
    }
}

/// One kind of limit, with a bucket for each key.
struct Buckets<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    of: &'static str,
    limit: NonZeroU32,
    limiter: RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Buckets<K, C> {
    fn new(of: &'static str, limit: NonZeroU32, clock: C) -> Self {
        let burst = NonZeroU32::new(limit.get() / BURST).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(limit).allow_burst(burst);
        Self {
            of,
            limit,
            limiter: RateLimiter::dashmap_with_clock(quota, clock.clone()),
            clock,
        }
    }

    fn take(&self, key: &K) -> Result<(), TooMany> {
        self.limiter.check_key(key).map_err(|early| TooMany {
            of: self.of,
            limit: self.limit,
            per: "a minute",
            wait: early.wait_time_from(self.clock.now()),
        })
    }
}

/// All buckets.
pub(crate) struct Limits {
    agents: Option<Buckets<Uuid>>,
    accounts: Option<Buckets<AccountId>>,
    tools: Option<Buckets<(InstanceId, u64)>>,
    hasher: std::hash::RandomState,
}

impl Limits {
    pub(crate) fn new(limits: CallLimits) -> Self {
        Self {
            agents: limits
                .agent
                .map(|n| Buckets::new("agent", n, DefaultClock::default())),
            accounts: limits
                .account
                .map(|n| Buckets::new("account", n, DefaultClock::default())),
            tools: limits
                .tool
                .map(|n| Buckets::new("tool", n, DefaultClock::default())),
            hasher: std::hash::RandomState::new(),
        }
    }

    /// Counts a call, if it is one that counts. `name` is the server's own.
    ///
    /// # Errors
    /// When it is one too many: then it must not be made.
    pub(crate) fn admit(
        &self,
        caller: Uuid,
        account: AccountId,
        instance: InstanceId,
        name: &str,
    ) -> Result<(), TooMany> {
        use std::hash::BuildHasher as _;
        if let Some(agents) = &self.agents {
            agents.take(&caller)?;
        }
        if let Some(accounts) = &self.accounts {
            accounts.take(&account)?;
        }
        if let Some(tools) = &self.tools {
            tools.take(&(instance, self.hasher.hash_one(name)))?;
        }
        Ok(())
    }

    /// Lets go of buckets that are full again.
    pub(crate) fn tidy(&self) {
        fn tidy<K: Hash + Eq + Clone>(buckets: Option<&Buckets<K>>) {
            if let Some(buckets) = buckets {
                buckets.limiter.retain_recent();
                buckets.limiter.shrink_to_fit();
            }
        }
        tidy(self.agents.as_ref());
        tidy(self.accounts.as_ref());
        tidy(self.tools.as_ref());
    }
}

/// Where the name stands of what a message calls; `None` for messages that don't count.
pub(crate) fn counted(message: &Envelope) -> Option<Field> {
    match &*message.method() {
        method::TOOLS_CALL | method::PROMPTS_GET => Some(Field::ParamsName),
        method::RESOURCES_READ => Some(Field::ParamsUri),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_as_many_as_a_minute_allows() {
        let clock = FakeRelativeClock::default();
        let limit = NonZeroU32::new(60).unwrap();
        let buckets = Buckets::new("agent", limit, clock.clone());
        for _ in 0..10 {
            assert_eq!(buckets.take(&1), Ok(()));
        }
        let refused = buckets.take(&1).unwrap_err();
        assert_eq!((refused.of, refused.seconds()), ("agent", 1));
        assert_eq!(
            buckets.take(&2),
            Ok(()),
            "another one has a bucket of its own"
        );
        clock.advance(Duration::from_secs(1));
        assert_eq!(buckets.take(&1), Ok(()));
        assert!(buckets.take(&1).is_err());
        clock.advance(Duration::from_secs(3600));
        let passed = (0..100).filter(|_| buckets.take(&1).is_ok()).count();
        assert_eq!(passed, 10, "what was not used in an hour is not saved up");
    }

    #[test]
    fn a_refusal_says_when_to_try_again() {
        let refused = TooMany {
            of: "tool",
            limit: NonZeroU32::new(6).unwrap(),
            per: "a minute",
            wait: Duration::from_millis(9_001),
        };
        assert_eq!(refused.seconds(), 10);
        let error = refused.to_rpc();
        assert!(
            error
                .message
                .contains("tool: 6 a minute are allowed; try again in 10 s")
        );
    }

    #[test]
    fn the_smallest_limit_lets_one_pass() {
        let one = NonZeroU32::MIN;
        let buckets = Buckets::new("agent", one, FakeRelativeClock::default());
        assert_eq!(buckets.take(&1), Ok(()));
        assert_eq!(buckets.take(&1).unwrap_err().seconds(), 60);
    }
}
