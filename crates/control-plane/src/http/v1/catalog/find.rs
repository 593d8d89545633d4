//! Finds an entry by what a person calls it, and checks what an admin writes.

use agentopia_api::problem::FieldProblem;
use agentopia_domain::CatalogEntryId;
use agentopia_domain::catalog::{CatalogDefinition, CatalogEntry};
use agentopia_store::{Store, StoreError};
use url::Url;

use crate::problem::{Answer, Refusal, kind};

/// The entry with this id or slug.
pub(in crate::http::v1) async fn by_slug_or_id(
    store: &Store,
    text: &str,
) -> Result<CatalogEntry, StoreError> {
    match text.parse::<CatalogEntryId>() {
        Ok(id) => store.catalog().get(id).await,
        Err(_) => store.catalog().by_slug(text).await,
    }
}

/// Whether a definition can be used.
pub(super) fn check(definition: &CatalogDefinition) -> Answer<()> {
    let mut errors: Vec<FieldProblem> = match definition.check() {
        Ok(()) => Vec::new(),
        Err(problems) => problems
            .into_iter()
            .map(|problem| FieldProblem {
                field: problem.field,
                problem: problem.problem,
            })
            .collect(),
    };
    let mut wrong = |field: &str, problem: String| {
        errors.push(FieldProblem {
            field: field.to_owned(),
            problem,
        });
    };
    if definition.versions.is_empty() {
        wrong("versions", "give at least one".to_owned());
    }
    for (field, url) in [
        ("icon", &definition.icon),
        ("documentation_url", &definition.documentation_url),
    ] {
        let fits = url.as_deref().is_none_or(|url| {
            Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
        });
        if !fits {
            wrong(field, "use an http:// or https:// address".to_owned());
        }
    }
    let schema = &definition.config.schema;
    if !schema.is_null() {
        if schema.get("type").and_then(serde_json::Value::as_str) != Some("object") {
            wrong(
                "config.schema",
                "describe an object: `\"type\": \"object\"`".to_owned(),
            );
        }
        if let Err(error) = jsonschema::validator_for(schema) {
            wrong("config.schema", format!("is no JSON Schema: {error}"));
        }
    }
    for (index, binding) in definition.config.bindings.iter().enumerate() {
        if schema["properties"].get(&binding.property).is_none() {
            wrong(
                &format!("config.bindings[{index}].property"),
                "name a property of the schema".to_owned(),
            );
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    let detail = errors
        .iter()
        .map(|error| format!("{}: {}", error.field, error.problem))
        .collect::<Vec<_>>()
        .join("; ");
    Err(Refusal::new(kind::INVALID_INPUT, detail).with_errors(errors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(extra: serde_json::Value) -> Vec<String> {
        let mut text = json!({
            "slug": "t", "name": "T", "status": "available",
            "packaging": {"type": "docker_image", "image": "t"},
            "transport": {"type": "stdio"},
            "versions": [{"version": "1", "tag": "1"}],
            "default_version": "1",
        });
        for (key, value) in extra.as_object().unwrap() {
            text[key] = value.clone();
        }
        match check(&serde_json::from_value(text).unwrap()) {
            Ok(()) => Vec::new(),
            Err(refusal) => refusal
                .to_problem(None)
                .errors
                .into_iter()
                .map(|error| error.field)
                .collect(),
        }
    }

    #[test]
    fn what_would_only_fail_at_deployment_fails_here() {
        assert!(problems(json!({})).is_empty());
        assert_eq!(
            problems(json!({"config": {"schema": {"type": "string"}}})),
            ["config.schema"]
        );
        assert_eq!(
            problems(json!({"config": {"schema": {"type": "object", "required": 3}}})),
            ["config.schema"]
        );
        assert_eq!(
            problems(json!({"config": {
                "schema": {"type": "object", "properties": {"a": {}}},
                "bindings": [{"property": "b", "to": "arg"}],
            }})),
            ["config.bindings[0].property"]
        );
        assert_eq!(
            problems(json!({"documentation_url": "javascript:alert(1)", "slug": "-"})),
            ["slug", "documentation_url"]
        );
    }
}
