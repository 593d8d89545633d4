//! A tool or prompt that nobody listed: whose it could be among the servers that could not be asked.
//!
//! Names are given when a server lists for the first time. One that never did (it wants its owner's
//! login, or is down) has none, and "unknown tool" would send the agent's owner looking in the wrong
//! place. So the answer names the servers that it could be of, and what is the matter with each.

use agentopia_domain::link::LinkPolicy;
use agentopia_mcp::{RpcError, names::SEPARATOR};

use super::failures::{FAILURES, failures};
use super::list::{Part, allows};
use crate::names::NameKind;
use crate::routes::AgentRoute;

/// The answer to a call of what no server listed, after all of them were asked.
pub(super) fn unknown(
    agent: &AgentRoute,
    kind: NameKind,
    exposed: &str,
    parts: &[Part],
) -> RpcError {
    let what = match kind {
        NameKind::Tool => "tool",
        NameKind::Prompt => "prompt",
    };
    let silent = parts.iter().filter(|part| part.outcome.is_err());
    let with = |prefix: bool| {
        silent.clone().filter(move |part| {
            let policy = &agent.links[part.link].policy;
            could_be(policy, &part.route.slug, kind, exposed, prefix)
        })
    };
    // Who stands in the name itself is meant, and nobody else.
    let mut perhaps: Vec<&Part> = with(true).collect();
    if perhaps.is_empty() {
        perhaps = with(false).collect();
    }
    if perhaps.is_empty() {
        return RpcError::invalid_params(format!("unknown {what}: {exposed}"));
    }
    let reasons = perhaps.iter().filter_map(|part| {
        let error = part.outcome.as_ref().err()?;
        Some(format!("{}: {error}", part.route.name))
    });
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    // Nothing is wrong with the request, so it is not the client's error: the same call may succeed later.
    RpcError::internal(format!(
        "no server that answers has the {what} {exposed}; it may be of one that does not: {reasons}"
    ))
    .with_data(&serde_json::json!({ FAILURES: failures(perhaps) }))
}

/// Whether a link could show something under this name, as far as its owner's wishes say: with the
/// server's slug in front, or without.
fn could_be(policy: &LinkPolicy, slug: &str, kind: NameKind, exposed: &str, prefix: bool) -> bool {
    let base = match prefix {
        true => exposed
            .strip_prefix(slug)
            .and_then(|rest| rest.strip_prefix(SEPARATOR)),
        false => (!policy.always_prefix).then_some(exposed),
    };
    let Some(base) = base else { return false };
    if kind == NameKind::Prompt {
        return true;
    }
    let renamed = policy.renamed_tools.iter();
    let mut owns = renamed.filter(|(_, shown)| *shown == base);
    owns.any(|(own, _)| allows(policy, own))
        || (!policy.renamed_tools.contains_key(base) && allows(policy, base))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn tool(policy: &LinkPolicy, name: &str) -> (bool, bool) {
        let asked = |prefix| could_be(policy, "notes", NameKind::Tool, name, prefix);
        (asked(true), asked(false))
    }

    #[test]
    fn a_name_is_of_whose_slug_it_has_or_of_anybody() {
        let any = LinkPolicy::default();
        assert_eq!(tool(&any, "notes__read"), (true, true));
        assert_eq!(tool(&any, "notesread"), (false, true));
        assert_eq!(tool(&any, "files__read"), (false, true));
        let prefixed = LinkPolicy {
            always_prefix: true,
            ..LinkPolicy::default()
        };
        assert_eq!(tool(&prefixed, "notes__read"), (true, false));
        assert_eq!(tool(&prefixed, "read"), (false, false));
    }

    #[test]
    fn a_name_that_the_link_does_not_show_is_not_of_its_server() {
        let policy = LinkPolicy {
            allowed_tools: Some(vec!["read".into(), "write".into()]),
            renamed_tools: BTreeMap::from([
                ("write".into(), "save".into()),
                ("drop".into(), "clear".into()),
            ]),
            ..LinkPolicy::default()
        };
        for (name, wanted) in [
            ("read", true),
            ("save", true),
            ("write", false),
            ("drop", false),
            ("clear", false),
            ("other", false),
        ] {
            assert_eq!(tool(&policy, name), (false, wanted), "{name}");
            assert_eq!(
                tool(&policy, &format!("notes__{name}")).0,
                wanted,
                "notes__{name}"
            );
        }
        assert!(could_be(&policy, "notes", NameKind::Prompt, "other", false));
    }
}
