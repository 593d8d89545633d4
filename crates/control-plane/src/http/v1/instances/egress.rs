//! Where a tool may go to (DTMA-4): what a person asks for, held against what the catalog says. Pure.

use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::egress::Egress;

use crate::problem::{Answer, Refusal};

const FIELD: &str = "egress";

/// What is decided: what the catalog says, or less, or, by an admin, anything.
pub(super) fn decided(
    entry: &CatalogDefinition,
    asked: Option<Egress>,
    is_admin: bool,
) -> Answer<Egress> {
    let Some(asked) = asked else {
        return Ok(entry.egress.clone());
    };
    if entry.packaging.is_remote() {
        return Err(Refusal::field(
            FIELD,
            format!("`{}` runs elsewhere; leave it out", entry.slug),
        ));
    }
    match asked.beyond(&entry.egress) {
        Some(more) if !is_admin => Err(Refusal::field(
            FIELD,
            format!(
                "{more} is more than the catalog lets `{}` reach ({}): ask an admin to change the catalog \
                 entry, or to let this tool do more",
                entry.slug, entry.egress
            ),
        )),
        _ => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use agentopia_domain::egress::Destinations;
    use serde_json::json;

    use super::*;

    fn entry(egress: serde_json::Value) -> CatalogDefinition {
        serde_json::from_value(json!({
            "slug": "t", "name": "T", "status": "available",
            "packaging": {"type": "docker_image", "image": "t"},
            "versions": [{"version": "1", "tag": "1"}], "default_version": "1",
            "egress": egress,
        }))
        .unwrap()
    }

    fn allow(line: &str) -> Egress {
        Egress::Allow {
            to: Destinations::parse([line]).unwrap(),
        }
    }

    fn ask(entry: &CatalogDefinition, asked: Egress, is_admin: bool) -> Result<Egress, String> {
        decided(entry, Some(asked), is_admin).map_err(|refusal| {
            let problem = refusal.to_problem(None);
            assert_eq!(
                (problem.code.as_str(), problem.errors[0].field.as_str()),
                ("invalid_input", FIELD)
            );
            problem.detail
        })
    }

    #[test]
    fn without_a_word_it_is_what_the_catalog_says() {
        let tool = entry(json!({"type": "none"}));
        assert_eq!(decided(&tool, None, true).unwrap(), Egress::None);
    }

    #[test]
    fn everybody_may_give_a_tool_less_and_admins_more() {
        let tool = entry(json!({"type": "allow", "to": ["*.example.com:443"]}));
        for less in [Egress::None, allow("api.example.com:443")] {
            assert_eq!(ask(&tool, less.clone(), false), Ok(less));
        }
        for more in [Egress::Open, allow("example.org:443")] {
            let refused = ask(&tool, more.clone(), false).unwrap_err();
            assert!(
                refused.contains("*.example.com:443") && refused.contains("ask an admin"),
                "{refused}"
            );
            assert_eq!(ask(&tool, more.clone(), true), Ok(more));
        }
    }

    #[test]
    fn what_runs_elsewhere_is_not_ours_to_hold() {
        let mut tool = entry(json!({"type": "open"}));
        tool.packaging = serde_json::from_value(json!({"type": "remote"})).unwrap();
        assert!(
            ask(&tool, Egress::None, true)
                .unwrap_err()
                .contains("elsewhere")
        );
    }
}
