//! Time and randomness, handed in instead of taken from the air, so that a test can steer the
//! one and replay the other. The real sources are the only places in the workspace that may
//! touch the ambient ones (`clippy.toml` bans them elsewhere).

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Where "now" comes from. Always UTC.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The current time.
    fn now(&self) -> DateTime<Utc>;
}

/// Where random bytes come from. Implementations other than [`SystemEntropy`] are for tests.
pub trait Entropy: fmt::Debug + Send + Sync {
    /// Fills `buffer` with bytes that nobody can predict.
    fn fill(&self, buffer: &mut [u8]);
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// The kernel's random number generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the kernel has no randomness to give: nothing that needs a key may go on then.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the kernel"
    )]
    #[expect(
        clippy::expect_used,
        reason = "without randomness no secret may be made"
    )]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the kernel refused to give random bytes");
    }
}

/// The clock and the entropy that a program runs on, cheap to clone and passed by value.
#[derive(Debug, Clone)]
pub struct Ambient {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Ambient {
    /// Builds from any two sources.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy }
    }

    /// The real clock and the kernel's randomness.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(SystemEntropy))
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// `N` random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A new time-ordered id (UUID version 7) of any id type.
    #[must_use]
    pub fn new_id<I: From<Uuid>>(&self) -> I {
        let millis = u64::try_from(self.now().timestamp_millis()).unwrap_or(0);
        I::from(uuid::Builder::from_unix_timestamp_millis(millis, &self.random::<10>()).into_uuid())
    }
}
