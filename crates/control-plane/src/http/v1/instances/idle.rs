//! After how long without use a tool is stopped (TOOL-9): what a person asks for, checked. Pure.

use agentopia_domain::idle::IdleSetting;

use crate::problem::{Answer, Refusal};

const FIELD: &str = "idle";

/// Whether a tool can be stopped and woken at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sleeper {
    /// It can.
    Ours,
    /// Its port is reached without us.
    ReachedDirectly,
    /// It runs elsewhere.
    Elsewhere,
}

impl Sleeper {
    /// What an instance with these is.
    pub(super) const fn of(is_reached_directly: bool, is_remote: bool) -> Self {
        match (is_remote, is_reached_directly) {
            (true, _) => Self::Elsewhere,
            (false, true) => Self::ReachedDirectly,
            (false, false) => Self::Ours,
        }
    }

    const fn why_never(self) -> Option<&'static str> {
        match self {
            Self::Ours => None,
            Self::ReachedDirectly => Some(
                "a tool whose port is reached directly is never stopped: nobody sees who uses it, or could \
                 wake it; leave it out",
            ),
            Self::Elsewhere => {
                Some("a server that runs elsewhere is not ours to stop; leave it out")
            }
        }
    }
}

/// The setting, if it is allowed. `shortest` is what the operator allows at least, in seconds.
pub(super) fn checked(
    setting: IdleSetting,
    sleeper: Sleeper,
    shortest: u32,
) -> Answer<IdleSetting> {
    if let Some(reason) = sleeper.why_never()
        && matches!(setting, IdleSetting::After { .. })
    {
        return Err(Refusal::field(FIELD, reason));
    }
    setting
        .check(shortest)
        .map_err(|problem| Refusal::field(FIELD, problem.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_says_what_to_use() {
        let refused = |setting, sleeper| {
            let problem = checked(setting, sleeper, 60).unwrap_err().to_problem(None);
            assert_eq!(
                (problem.code.as_str(), problem.errors[0].field.as_str()),
                ("invalid_input", FIELD)
            );
            problem.detail
        };
        let after = |seconds| IdleSetting::After { seconds };
        assert!(refused(after(59), Sleeper::Ours).contains("60 s"));
        assert!(refused(after(u32::MAX), Sleeper::Ours).contains("30 days"));
        assert!(refused(after(600), Sleeper::of(true, false)).contains("directly"));
        assert!(refused(after(600), Sleeper::of(false, true)).contains("elsewhere"));
        for fine in [IdleSetting::Never, IdleSetting::Inherit] {
            assert_eq!(checked(fine, Sleeper::ReachedDirectly, 60).unwrap(), fine);
        }
        assert_eq!(
            checked(after(60), Sleeper::of(false, false), 60).unwrap(),
            after(60)
        );
    }
}
