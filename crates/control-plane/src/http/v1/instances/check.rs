//! Checks what a person asks of a tool against what the catalog says of it. Pure: nothing is read
//! or written.

use std::collections::BTreeMap;

use agentopia_api::problem::FieldProblem;
use agentopia_domain::admission::{DoesNotFit, admit};
use agentopia_domain::catalog::{CatalogDefinition, CatalogStatus, ToolVersion};
use agentopia_domain::environment::Environment;
use agentopia_domain::resources::Resources;
use serde_json::{Map, Value};

use crate::packages;
use crate::problem::{Answer, Refusal, kind};

/// The version to run, if the tool takes new instances.
pub(in crate::http::v1) fn version<'a>(
    entry: &'a CatalogDefinition,
    asked: Option<&str>,
) -> Answer<&'a ToolVersion> {
    if entry.status == CatalogStatus::Archived {
        return Err(Refusal::new(
            kind::ARCHIVED,
            format!(
                "`{}` takes no new instances; choose another tool",
                entry.slug
            ),
        ));
    }
    let asked = asked.unwrap_or(&entry.default_version);
    let version = entry.version(asked).ok_or_else(|| {
        let known: Vec<&str> = entry.versions.iter().map(|v| v.version.as_str()).collect();
        Refusal::new(
            kind::UNKNOWN_VERSION,
            format!("`{}` has the versions {}", entry.slug, known.join(", ")),
        )
    })?;
    if let Some(word) = version.package.as_ref().and_then(packages::foreign_word) {
        return Err(Refusal::new(
            kind::PACKAGE_UNSUPPORTED,
            format!(
                "`{}` wants `{word}` of the program that runs its package, which machines can't do: take it out of \
                 the version's `runtime_args` if the tool does without, or put the tool into an image",
                entry.slug
            ),
        ));
    }
    Ok(version)
}

/// Whether `config`, laid over the defaults, fits the tool's schema.
pub(in crate::http::v1) fn config(
    entry: &CatalogDefinition,
    config: &Map<String, Value>,
) -> Answer<()> {
    let template = &entry.config;
    if template.schema.is_null() {
        return match config.keys().next() {
            None => Ok(()),
            Some(key) => Err(invalid(vec![FieldProblem {
                field: format!("config.{key}"),
                problem: "this tool takes no configuration".to_owned(),
            }])),
        };
    }
    let validator = jsonschema::validator_for(&template.schema).map_err(|error| {
        Refusal::internal(anyhow::anyhow!(
            "the schema of catalog entry {} can't be used: {error}",
            entry.slug
        ))
    })?;
    let mut whole = template.defaults.clone();
    whole.extend(config.clone());
    let whole = Value::Object(whole);
    let mut errors: Vec<FieldProblem> = validator
        .iter_errors(&whole)
        .map(|error| FieldProblem {
            field: field_of(&error.instance_path().to_string()),
            // The value is left out: people put secrets where they don't belong.
            problem: error.masked().to_string(),
        })
        .collect();
    // No schema says so, but a setting becomes an argument or a variable of a process.
    errors.extend(
        config
            .iter()
            .filter(|(_, value)| has_zero_byte(value))
            .map(|(key, _)| FieldProblem {
                field: format!("config.{key}"),
                problem: "a program can't be given a zero byte".to_owned(),
            }),
    );
    if errors.is_empty() {
        Ok(())
    } else {
        Err(invalid(errors))
    }
}

fn has_zero_byte(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_zero_byte),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains('\0') || has_zero_byte(value)),
        _ => false,
    }
}

fn invalid(errors: Vec<FieldProblem>) -> Refusal {
    let detail = errors
        .iter()
        .map(|error| format!("{}: {}", error.field, error.problem))
        .collect::<Vec<_>>()
        .join("; ");
    Refusal::new(kind::INVALID_CONFIG, detail).with_errors(errors)
}

/// A JSON pointer as the path of a field of the request.
fn field_of(pointer: &str) -> String {
    format!("config{}", pointer.replace('/', "."))
}

/// Whether the tool reads all of these variables.
pub(in crate::http::v1) fn known_secrets<'a>(
    entry: &CatalogDefinition,
    mut names: impl Iterator<Item = &'a str>,
) -> Answer<()> {
    let reads = |name: &str| entry.secrets.iter().any(|known| known.name == name);
    let Some(unknown) = names.find(|name| !reads(name)) else {
        return Ok(());
    };
    let known: Vec<&str> = entry.secrets.iter().map(|s| s.name.as_str()).collect();
    let known = match known.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    Err(Refusal::new(
        kind::UNKNOWN_SECRET,
        format!(
            "`{}` reads no secret `{unknown}`; it reads {known}",
            entry.slug
        ),
    )
    .with_errors(vec![FieldProblem {
        field: format!("secrets.{unknown}"),
        problem: "the tool reads no such variable".to_owned(),
    }]))
}

/// Whether the mapping names variables that the tool reads, and all that it requires.
pub(in crate::http::v1) fn secrets(
    entry: &CatalogDefinition,
    mapped: &BTreeMap<String, String>,
) -> Answer<()> {
    known_secrets(entry, mapped.keys().map(String::as_str))?;
    let everybodys = |name: &str| {
        let mut own = entry.secrets.iter().filter(|secret| secret.per_link);
        own.any(|secret| secret.name == name)
    };
    if let Some(own) = mapped.keys().find(|name| everybodys(name)) {
        return Err(Refusal::field(
            format!("secrets.{own}"),
            format!(
                "everybody who uses `{}` gives their own: leave it out here and give it with the link of an \
                 agent (`agentopia agents link AGENT TOOL --secret {own}=SECRET_NAME`)",
                entry.slug
            ),
        ));
    }
    let missing: Vec<FieldProblem> = entry
        .secrets
        .iter()
        .filter(|needed| needed.required && !needed.per_link)
        .filter(|needed| !mapped.contains_key(&needed.name))
        .map(|needed| FieldProblem {
            field: format!("secrets.{}", needed.name),
            problem: if needed.description.is_empty() {
                "is required".to_owned()
            } else {
                format!("is required: {}", needed.description)
            },
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing
        .iter()
        .filter_map(|problem| problem.field.strip_prefix("secrets."))
        .collect();
    Err(Refusal::new(
        kind::MISSING_SECRET,
        format!("set a secret and map it for each of: {}", names.join(", ")),
    )
    .with_errors(missing))
}

/// Whether one more instance fits. Before a machine has said what it has, nothing is known and
/// everything is let through.
pub(in crate::http::v1) fn fits(
    environment: &Environment,
    present: &[Resources],
    new: Resources,
) -> Result<(), DoesNotFit> {
    match environment.room() {
        Some(capacity) => admit(capacity, present.iter().copied(), new),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(extra: Value) -> CatalogDefinition {
        let mut text = json!({
            "slug": "t", "name": "T", "status": "available",
            "packaging": {"type": "docker_image", "image": "t"},
            "transport": {"type": "stdio"},
            "versions": [{"version": "1", "tag": "1"}, {"version": "2", "tag": "2"}],
            "default_version": "2",
        });
        for (key, value) in extra.as_object().unwrap() {
            text[key] = value.clone();
        }
        serde_json::from_value(text).unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn versions_are_those_of_the_catalog() {
        let tool = entry(json!({}));
        assert_eq!(version(&tool, None).unwrap().version, "2");
        assert_eq!(version(&tool, Some("1")).unwrap().version, "1");
        let refused = version(&tool, Some("3")).unwrap_err();
        assert_eq!(refused.kind(), kind::UNKNOWN_VERSION);
        let refused = version(&entry(json!({"status": "archived"})), None).unwrap_err();
        assert_eq!(refused.kind(), kind::ARCHIVED);
    }

    #[test]
    fn configuration_is_checked_with_its_defaults_and_never_repeated() {
        let tool = entry(json!({"config": {
            "schema": {
                "type": "object",
                "properties": {"zone": {"type": "string"}, "n": {"type": "integer", "maximum": 9}},
                "required": ["zone"],
                "additionalProperties": false,
            },
            "defaults": {"zone": "UTC"},
        }}));
        assert!(config(&tool, &Map::new()).is_ok());
        assert!(config(&tool, &object(json!({"n": 3}))).is_ok());
        for (bad, field) in [
            (json!({"zone": 4711}), "config.zone"),
            (json!({"n": 4711}), "config.n"),
            (json!({"x": 4711}), "config"),
            (json!({"zone": "4711\0"}), "config.zone"),
        ] {
            let problem = config(&tool, &object(bad)).unwrap_err().to_problem(None);
            assert_eq!(problem.code, "invalid_config");
            assert_eq!(problem.errors[0].field, field);
            assert!(!problem.detail.contains("4711"), "{}", problem.detail);
        }
        let refused = config(&entry(json!({})), &object(json!({"a": 1}))).unwrap_err();
        assert_eq!(refused.kind(), kind::INVALID_CONFIG);
    }

    #[test]
    fn secrets_are_those_that_the_tool_reads() {
        let tool = entry(json!({"secrets": [
            {"name": "KEY", "description": "from the provider's page"},
            {"name": "EXTRA", "required": false},
        ]}));
        let map = |names: &[&str]| {
            names
                .iter()
                .map(|name| ((*name).to_owned(), "s".to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        assert!(secrets(&tool, &map(&["KEY"])).is_ok());
        assert!(secrets(&tool, &map(&["KEY", "EXTRA"])).is_ok());
        let missing = secrets(&tool, &map(&["EXTRA"])).unwrap_err();
        assert_eq!(missing.kind(), kind::MISSING_SECRET);
        assert_eq!(missing.to_problem(None).errors[0].field, "secrets.KEY");
        let unknown = secrets(&tool, &map(&["KEY", "PATH"])).unwrap_err();
        assert_eq!(unknown.kind(), kind::UNKNOWN_SECRET);
    }

    #[test]
    fn what_everybody_gives_for_themselves_is_not_given_to_the_instance() {
        let tool = entry(json!({"secrets": [{"name": "KEY", "per_link": true}]}));
        assert!(secrets(&tool, &BTreeMap::new()).is_ok());
        let mapped = BTreeMap::from([("KEY".to_owned(), "s".to_owned())]);
        let refused = secrets(&tool, &mapped).unwrap_err();
        assert_eq!(refused.to_problem(None).errors[0].field, "secrets.KEY");
    }
}
