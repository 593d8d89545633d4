//! Who may reach a tool's port directly (TOOL-11): what a person asks for, checked against what the
//! catalog declares and what the operator allows. Pure.

use agentopia_api::problem::FieldProblem;
use agentopia_domain::catalog::CatalogDefinition;
use agentopia_domain::direct_access::{DirectAccess, Sources, SourcesProblem};
use ipnet::IpNet;

use crate::problem::{Answer, Refusal, kind};

const FIELD: &str = "allow_from";

/// What is granted; `None` for a tool without such a port. `ranges` are those that the operator
/// allows.
pub(super) fn granted(
    entry: &CatalogDefinition,
    allow_from: &[String],
    ranges: &[IpNet],
) -> Answer<Option<DirectAccess>> {
    let Some(port) = &entry.direct_access else {
        if allow_from.is_empty() {
            return Ok(None);
        }
        return Err(Refusal::field(
            FIELD,
            format!(
                "`{}` has no port that is reached directly; leave it out",
                entry.slug
            ),
        ));
    };
    let sources = Sources::parse(allow_from).map_err(|problem| match problem {
        SourcesProblem::Empty if !port.purpose.is_empty() => missing(&problem, &port.purpose),
        problem => Refusal::field(FIELD, problem.to_string()),
    })?;
    if let Some(outside) = sources.outside(ranges) {
        let allowed: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        let allowed = match allowed.is_empty() {
            true => "the operator of this installation allows no direct access to tools".to_owned(),
            false => format!(
                "the operator of this installation allows direct access from {} only",
                allowed.join(", ")
            ),
        };
        return Err(Refusal::field(
            FIELD,
            format!("not from {outside}: {allowed}"),
        ));
    }
    Ok(Some(DirectAccess {
        port: port.port,
        protocols: port.protocols.clone(),
        sources,
    }))
}

/// With what the port is for: who has to name networks wants to know that.
fn missing(problem: &SourcesProblem, purpose: &str) -> Refusal {
    let text = format!("{problem}. The port is for this: {purpose}");
    let field = FieldProblem {
        field: FIELD.to_owned(),
        problem: text.clone(),
    };
    Refusal::new(kind::INVALID_INPUT, format!("{FIELD}: {text}")).with_errors(vec![field])
}

#[cfg(test)]
mod tests {
    use agentopia_domain::direct_access::range;
    use serde_json::json;

    use super::*;

    fn entry(direct_access: serde_json::Value) -> CatalogDefinition {
        serde_json::from_value(json!({
            "slug": "t", "name": "T", "status": "available",
            "packaging": {"type": "docker_image", "image": "t"},
            "transport": {"type": "stdio"},
            "versions": [{"version": "1", "tag": "1"}], "default_version": "1",
            "direct_access": direct_access,
        }))
        .unwrap()
    }

    fn ask(
        entry: &CatalogDefinition,
        from: &[&str],
        ranges: &[&str],
    ) -> Result<Option<DirectAccess>, String> {
        let from: Vec<String> = from.iter().map(|&text| text.to_owned()).collect();
        let ranges: Vec<IpNet> = ranges.iter().map(|text| range(text).unwrap()).collect();
        granted(entry, &from, &ranges).map_err(|refusal| {
            let problem = refusal.to_problem(None);
            assert_eq!(
                (problem.code.as_str(), problem.errors[0].field.as_str()),
                ("invalid_input", FIELD)
            );
            problem.detail
        })
    }

    const ANY: [&str; 2] = ["0.0.0.0/0", "::/0"];

    #[test]
    fn a_tool_without_a_port_takes_no_networks() {
        let tool = entry(json!(null));
        assert_eq!(ask(&tool, &[], &ANY), Ok(None));
        let refused = ask(&tool, &["10.0.0.0/8"], &ANY).unwrap_err();
        assert!(refused.contains("has no port"), "{refused}");
    }

    #[test]
    fn a_tool_with_a_port_is_never_open_to_everybody_by_itself() {
        let tool = entry(json!({"port": 22, "purpose": "Git clients push here."}));
        let refused = ask(&tool, &[], &ANY).unwrap_err();
        assert!(
            refused.contains("at least one network") && refused.contains("Git clients"),
            "{refused}"
        );
        let granted = ask(&tool, &["0.0.0.0/0", "::/0"], &ANY).unwrap().unwrap();
        assert_eq!((granted.port, granted.sources.iter().count()), (22, 2));
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let tool = entry(json!({"port": 22}));
        assert!(ask(&tool, &["10.1.0.0/16"], &["10.0.0.0/8"]).is_ok());
        let refused = ask(&tool, &["0.0.0.0/0"], &["10.0.0.0/8"]).unwrap_err();
        assert!(
            refused.contains("not from 0.0.0.0/0") && refused.contains("10.0.0.0/8 only"),
            "{refused}"
        );
        let refused = ask(&tool, &["10.1.0.0/16"], &[]).unwrap_err();
        assert!(refused.contains("allows no direct access"), "{refused}");
    }

    #[test]
    fn nonsense_says_what_to_write() {
        let tool = entry(json!({"port": 22}));
        let refused = ask(&tool, &["home"], &ANY).unwrap_err();
        assert!(refused.contains("203.0.113.0/24"), "{refused}");
    }
}
