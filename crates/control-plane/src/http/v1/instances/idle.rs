//! After how long without use a tool is stopped (TOOL-9): what a person asks for, checked. Pure.

use agentopia_domain::idle::IdleSetting;

use crate::problem::{Answer, Refusal};

const FIELD: &str = "idle";

/// The setting, if it is allowed. `shortest` is what the operator allows at least, in seconds.
pub(super) fn checked(
    setting: IdleSetting,
    is_reached_directly: bool,
    shortest: u32,
) -> Answer<IdleSetting> {
    if is_reached_directly && matches!(setting, IdleSetting::After { .. }) {
        return Err(Refusal::field(
            FIELD,
            "a tool whose port is reached directly is never stopped: nobody sees who uses it, or could \
             wake it; leave it out",
        ));
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
        let refused = |setting, direct| {
            let problem = checked(setting, direct, 60).unwrap_err().to_problem(None);
            assert_eq!(
                (problem.code.as_str(), problem.errors[0].field.as_str()),
                ("invalid_input", FIELD)
            );
            problem.detail
        };
        let after = |seconds| IdleSetting::After { seconds };
        assert!(refused(after(59), false).contains("60 s"));
        assert!(refused(after(u32::MAX), false).contains("30 days"));
        assert!(refused(after(600), true).contains("directly"));
        for fine in [IdleSetting::Never, IdleSetting::Inherit] {
            assert_eq!(checked(fine, true, 60).unwrap(), fine);
        }
        assert_eq!(checked(after(60), false, 60).unwrap(), after(60));
    }
}
