//! Tools that are stopped while nobody uses them, and started by the next call (TOOL-9).
//!
//! After how long that is, is a default of the catalog entry and a choice of the instance. Where
//! neither says anything a tool is never stopped: its first call after a pause would be slower, which
//! is for its owner or the writer of the catalog entry to decide.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The shortest idle time, in seconds, unless the operator allows shorter ones.
pub const SHORTEST: u32 = 60;
/// The longest idle time, in seconds: 30 days.
pub const LONGEST: u32 = 30 * 24 * 3600;

/// What the owner of an instance says.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum IdleSetting {
    /// What the catalog entry says; never where it says nothing.
    #[default]
    Inherit,
    /// It is never stopped for being idle.
    Never,
    /// It is stopped when nobody used it for so long.
    After {
        /// 60 (unless the operator allows less) to 2,592,000, which is 30 days.
        seconds: u32,
    },
}

/// An idle time that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "use {shortest} s to {LONGEST} s (30 days), `never` to keep it running, or `inherit` for what \
     the catalog says"
)]
pub struct IdleProblem {
    /// The shortest that is allowed.
    pub shortest: u32,
}

impl IdleSetting {
    /// Whether it is within the bounds.
    ///
    /// # Errors
    /// [`IdleProblem`].
    pub const fn check(self, shortest: u32) -> Result<Self, IdleProblem> {
        match self {
            Self::After { seconds } if !is_allowed(seconds, shortest) => {
                Err(IdleProblem { shortest })
            }
            _ => Ok(self),
        }
    }
}

/// Whether so many seconds are an idle time.
#[must_use]
pub const fn is_allowed(seconds: u32, shortest: u32) -> bool {
    seconds >= shortest && seconds <= LONGEST
}

/// What counts for one instance: its owner's word, and its catalog entry's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Idle {
    /// What its owner says.
    pub setting: IdleSetting,
    /// What its catalog entry says, in seconds.
    pub catalog: Option<u32>,
}

impl Idle {
    /// After how long without use it is stopped, in seconds; `None` if never.
    #[must_use]
    pub const fn seconds(self) -> Option<u32> {
        match self.setting {
            IdleSetting::Inherit => self.catalog,
            IdleSetting::Never => None,
            IdleSetting::After { seconds } => Some(seconds),
        }
    }

    /// The same as a duration.
    #[must_use]
    pub fn limit(self) -> Option<Duration> {
        self.seconds()
            .map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// A time as people say it: `30 min`, `2 h`, `90 s`.
#[derive(Debug, Clone, Copy)]
pub struct Spoken(pub Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(24 * 3600, "d"), (3600, "h"), (60, "min")];
        let whole = units
            .into_iter()
            .find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size));
        let (size, unit) = whole.unwrap_or((1, "s"));
        write!(f, "{} {unit}", seconds / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_time_has_bounds() {
        let after = |seconds| IdleSetting::After { seconds };
        for good in [
            IdleSetting::Inherit,
            IdleSetting::Never,
            after(SHORTEST),
            after(LONGEST),
        ] {
            assert_eq!(good.check(SHORTEST), Ok(good));
        }
        for bad in [0, SHORTEST - 1, LONGEST + 1, u32::MAX] {
            let problem = after(bad).check(SHORTEST).unwrap_err().to_string();
            assert!(problem.contains("60 s to 2592000 s"), "{problem}");
        }
        assert!(after(3).check(3).is_ok(), "the operator allows less");
    }

    #[test]
    fn the_owner_has_the_last_word() {
        let idle = |setting, catalog| Idle { setting, catalog }.seconds();
        assert_eq!(idle(IdleSetting::Inherit, None), None);
        assert_eq!(idle(IdleSetting::Inherit, Some(600)), Some(600));
        assert_eq!(idle(IdleSetting::Never, Some(600)), None);
        assert_eq!(
            idle(IdleSetting::After { seconds: 60 }, Some(600)),
            Some(60)
        );
    }

    #[test]
    fn a_setting_says_which_it_is() {
        for (text, setting) in [
            (r#"{"mode":"inherit"}"#, IdleSetting::Inherit),
            (r#"{"mode":"never"}"#, IdleSetting::Never),
            (
                r#"{"mode":"after","seconds":600}"#,
                IdleSetting::After { seconds: 600 },
            ),
        ] {
            let read: IdleSetting = serde_json::from_str(text).unwrap();
            assert_eq!(read, setting);
            assert_eq!(serde_json::to_string(&setting).unwrap(), text);
        }
        for bad in [
            r#"{"mode":"after"}"#,
            r#"{"mode":"after","seconds":-1}"#,
            r#"{"mode":"soon"}"#,
            r#"{"seconds":600}"#,
        ] {
            assert!(serde_json::from_str::<IdleSetting>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_spoken_in_the_largest_whole_unit() {
        for (seconds, text) in [
            (3, "3 s"),
            (90, "90 s"),
            (1800, "30 min"),
            (7200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(Spoken(Duration::from_secs(seconds)).to_string(), text);
        }
    }
}
