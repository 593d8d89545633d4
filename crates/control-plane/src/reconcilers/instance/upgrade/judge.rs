//! Whether a new version has the tools that it must have. Pure.

use std::collections::BTreeSet;

use agentopia_domain::link::Link;

/// The tools that links use: those that they name, and of links that let everything through all that the
/// old version offers.
#[must_use]
pub fn needed(links: &[Link], offered_before: &BTreeSet<String>) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    for link in links.iter().filter(|link| link.enabled) {
        match &link.policy.allowed_tools {
            Some(allowed) => needed.extend(
                allowed
                    .iter()
                    .filter(|tool| offered_before.contains(*tool))
                    .cloned(),
            ),
            None => needed.extend(offered_before.iter().cloned()),
        }
    }
    needed
}

/// Why the new version must not serve, if it must not.
#[must_use]
pub fn refusal(needed: &BTreeSet<String>, offered: &BTreeSet<String>) -> Option<String> {
    let missing: Vec<String> = needed
        .difference(offered)
        .map(|tool| format!("`{tool}`"))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "it does not offer {}, which agents use; say that they may go (--accept-missing), or unlink them first",
            missing.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_nobody_uses_may_go() {
        assert!(needed(&[], &set(&["a", "b"])).is_empty());
        assert_eq!(refusal(&set(&[]), &set(&[])), None);
    }

    #[test]
    fn what_is_used_and_missing_is_named() {
        let why = refusal(&set(&["a", "b", "c"]), &set(&["b", "d"])).unwrap();
        assert!(why.contains("`a`, `c`") && !why.contains("`b`"), "{why}");
        assert_eq!(refusal(&set(&["a"]), &set(&["a", "new"])), None);
    }
}
