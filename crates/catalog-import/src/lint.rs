//! What is wrong with an entry that somebody wrote, and what would be better (`agentopia catalog lint`).
//!
//! What an entry must not be is checked by its own rules ([`CatalogDefinition::check`]); this adds what works
//! and brings trouble later: versions that change under their name, secrets where everybody reads them, settings
//! that go nowhere, servers that nobody can reach.

use std::collections::BTreeSet;

use agentopia_domain::catalog::{
    CatalogDefinition, ConfigTemplate, Packaging, ToolVersion, Transport,
};
use agentopia_domain::verification::Check;
use serde_json::Value;

use crate::looks::{Looks, looks, names_secret};

/// Less than this is short for an interpreter, bytes.
const SMALL_MEMORY: u64 = 64 << 20;
/// Programs that need more.
const INTERPRETERS: [&str; 6] = ["node", "npx", "python", "python3", "uvx", "java"];

/// One item for each thing that was found; one that is as it should be if nothing was.
#[must_use]
pub fn lint(entry: &CatalogDefinition) -> Vec<Check> {
    let problems = entry.check().err().unwrap_or_default();
    let mut found: Vec<Check> = problems
        .into_iter()
        .map(|problem| Check::failed(problem.field, problem.problem))
        .collect();
    found.extend(described(entry));
    for version in &entry.versions {
        found.extend(pinned(entry, version));
        found.extend(given(version));
        found.extend(reachable(entry, version));
        found.extend(roomy(entry, version));
    }
    found.extend(settings(&entry.config));
    for secret in &entry.secrets {
        if secret.description.trim().is_empty() {
            found.push(Check::warning(
                format!("secrets.{}", secret.name),
                "say what it is and where to get it: people are asked for it when they deploy",
            ));
        }
    }
    if found.is_empty() {
        found.push(Check::ok("entry", "nothing is wrong with it"));
    }
    found
}

fn described(entry: &CatalogDefinition) -> Vec<Check> {
    let mut found = Vec::new();
    if entry.description.trim().is_empty() {
        found.push(Check::warning(
            "description",
            "say in a sentence what it is for: that is all that people see before they deploy it",
        ));
    }
    if entry.categories.is_empty() {
        found.push(Check::warning(
            "categories",
            "name one or two: people look for tools by them",
        ));
    }
    found
}

fn pinned(entry: &CatalogDefinition, version: &ToolVersion) -> Vec<Check> {
    let field = |name: &str| format!("versions.{}.{name}", version.version);
    if !matches!(entry.packaging, Packaging::DockerImage { .. }) || version.digest.is_some() {
        return Vec::new();
    }
    let tag = version.tag.as_deref().unwrap_or_default();
    let moves = if tag == "latest" {
        "`latest` is another image tomorrow"
    } else {
        "a tag can be moved to another image"
    };
    vec![Check::warning(
        field("digest"),
        format!("{moves}: give the digest too; `agentopia catalog import IMAGE:TAG` looks it up"),
    )]
}

/// Arguments and variables that are the same for everybody.
fn given(version: &ToolVersion) -> Vec<Check> {
    let mut found = Vec::new();
    for (name, value) in &version.env {
        if looks(name, value) == Looks::Secret {
            found.push(Check::failed(
                format!("versions.{}.env.{name}", version.version),
                "it looks like a secret, and everybody reads the catalog: make it one of `secrets`, for which each \
                 account has its own value",
            ));
        }
    }
    for (before, argument) in std::iter::once("")
        .chain(version.args.iter().map(String::as_str))
        .zip(&version.args)
    {
        let (name, value) = argument.split_once('=').unwrap_or((before, argument));
        let is_value = !value.starts_with('-') && (name.starts_with('-') || argument.contains('='));
        if is_value && looks(name.trim_start_matches('-'), value) == Looks::Secret {
            found.push(Check::failed(
                format!("versions.{}.args", version.version),
                format!(
                    "{name} looks like a secret; arguments are read by everything on the machine: make it one of \
                     `secrets`, which go to the tool as variables"
                ),
            ));
        }
    }
    found
}

fn reachable(entry: &CatalogDefinition, version: &ToolVersion) -> Vec<Check> {
    let transport = version.transport.as_ref().unwrap_or(&entry.transport);
    let port = match transport {
        Transport::Stdio { .. } => return Vec::new(),
        Transport::StreamableHttp { port, .. } | Transport::Sse { port, .. } => *port,
    };
    let mut found = Vec::new();
    let told = version.args.iter().chain(version.env.values());
    let loopback = told.clone().find(|text| {
        ["127.0.0.1", "localhost", "::1"].iter().any(|own| {
            *text == own
                || text.starts_with(&format!("{own}:"))
                || text.ends_with(&format!("={own}"))
        })
    });
    if let Some(text) = loopback {
        found.push(Check::warning(
            format!("versions.{}", version.version),
            format!("{text:?}: a server that listens on its own loopback address is reached by nobody; have it listen on 0.0.0.0"),
        ));
    }
    if port < 1024 {
        found.push(Check::warning(
            "transport.port",
            format!("{port}: tools are not root, and many programs refuse to listen below 1024"),
        ));
    }
    found
}

fn roomy(entry: &CatalogDefinition, version: &ToolVersion) -> Vec<Check> {
    let memory = version.resources.unwrap_or(entry.resources).memory_bytes;
    let program = version.process.first().or(version.args.first());
    let name = program.and_then(|program| program.rsplit('/').next());
    let interpreter = name.filter(|name| INTERPRETERS.contains(name));
    match interpreter {
        Some(name) if memory < SMALL_MEMORY && !entry.packaging.is_remote() => {
            vec![Check::warning(
                "resources.memory_bytes",
                format!(
                    "{} MiB is short for {name}; stdio servers have one process for each session",
                    memory >> 20
                ),
            )]
        }
        _ => Vec::new(),
    }
}

fn settings(config: &ConfigTemplate) -> Vec<Check> {
    let mut found = Vec::new();
    if config.schema.is_null() {
        return found;
    }
    match jsonschema::validator_for(&config.schema) {
        Err(error) => found.push(Check::failed(
            "config.schema",
            format!("it is no JSON Schema: {error}"),
        )),
        Ok(schema) => {
            // What has no default is asked for; only the values that are there are looked at.
            let required = |error: &jsonschema::ValidationError<'_>| {
                error.instance_path().to_string().is_empty()
            };
            let defaults = Value::Object(config.defaults.clone());
            for error in schema
                .iter_errors(&defaults)
                .filter(|error| !required(error))
            {
                found.push(Check::failed(
                    format!(
                        "config.defaults{}",
                        error.instance_path().to_string().replace('/', ".")
                    ),
                    format!("it does not fit the schema: {}", error.masked()),
                ));
            }
        }
    }
    let properties = config.schema.get("properties").and_then(Value::as_object);
    let bound: BTreeSet<&str> = config
        .bindings
        .iter()
        .map(|it| it.property.as_str())
        .collect();
    for (name, property) in properties.into_iter().flatten() {
        let mut advise = |text: &str| {
            found.push(Check::warning(
                format!("config.schema.properties.{name}"),
                text,
            ));
        };
        if !bound.contains(name.as_str()) && !is_used_in_text(config, name) {
            advise("it goes nowhere: add a binding to a variable or an argument");
        }
        if names_secret(name) {
            advise(
                "it looks like a secret, and settings are shown to everybody of the account: make it one of `secrets`",
            );
        }
        if property
            .get("title")
            .or(property.get("description"))
            .is_none()
        {
            advise("give it a title or a description: forms show its bare name otherwise");
        }
    }
    if !config
        .schema
        .get("additionalProperties")
        .is_some_and(|it| it == false)
    {
        found.push(Check::warning(
            "config.schema.additionalProperties",
            "set it to false: without that a setting whose name is misspelt is taken and goes nowhere",
        ));
    }
    found
}

fn is_used_in_text(config: &ConfigTemplate, name: &str) -> bool {
    use agentopia_domain::catalog::ConfigTarget as T;
    let place = format!("${{config:{name}}}");
    config.bindings.iter().any(|binding| match &binding.target {
        T::EnvText { text, .. } | T::ArgText { text, .. } => text.contains(&place),
        T::Env { .. } | T::Arg { .. } => false,
    })
}

#[cfg(test)]
mod tests {
    use agentopia_domain::verification::Outcome;
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({
            "slug": "clock", "name": "Clock", "description": "Tells the time", "categories": ["time"],
            "status": "available", "default_version": "1",
            "packaging": {"type": "docker_image", "image": "127.0.0.1:5000/tools/clock"},
            "versions": [{"version": "1", "digest": format!("sha256:{}", "0".repeat(64))}],
            "config": {
                "schema": {
                    "type": "object", "additionalProperties": false,
                    "properties": {"zone": {"type": "string", "title": "Zone"}}, "required": ["zone"]
                },
                "bindings": [{"property": "zone", "to": "env", "name": "ZONE"}]
            },
            "secrets": [{"name": "API_KEY", "description": "From your account's page"}]
        })
    }

    /// Name and outcome of all that is found after `change`.
    fn found(change: impl FnOnce(&mut Value)) -> Vec<(String, Outcome)> {
        let mut entry = good();
        change(&mut entry);
        let entry: CatalogDefinition = serde_json::from_value(entry).unwrap();
        let found = lint(&entry).into_iter();
        found.map(|check| (check.name, check.outcome)).collect()
    }

    #[test]
    fn nothing_is_made_up_about_a_good_entry() {
        assert_eq!(found(|_| ()), [("entry".to_owned(), Outcome::Ok)]);
    }

    #[test]
    fn each_thing_that_brings_trouble_is_named_by_its_field() {
        use Outcome::{Failed, Warning};
        type Change = fn(&mut Value);
        let cases: [(Change, &str, Outcome); 14] = [
            (|it| it["slug"] = json!("No Slug"), "slug", Failed),
            (|it| it["description"] = json!(" "), "description", Warning),
            (|it| it["categories"] = json!([]), "categories", Warning),
            (
                |it| it["versions"][0] = json!({"version": "1", "tag": "latest"}),
                "versions.1.digest",
                Warning,
            ),
            (
                |it| {
                    it["versions"][0]["env"] =
                        json!({"API_TOKEN": "ghp_0123456789abcdefghijklmnopqrstuvwxyz"})
                },
                "versions.1.env.API_TOKEN",
                Failed,
            ),
            (
                |it| {
                    it["versions"][0]["args"] = json!(["--api-key", "sk-0123456789abcdefghijklmn"])
                },
                "versions.1.args",
                Failed,
            ),
            (
                |it| {
                    it["transport"] =
                        json!({"type": "streamable_http", "port": 8080, "path": "/mcp"});
                    it["versions"][0]["args"] = json!(["--listen", "127.0.0.1:8080"]);
                },
                "versions.1",
                Warning,
            ),
            (
                |it| {
                    it["transport"] = json!({"type": "streamable_http", "port": 80, "path": "/mcp"})
                },
                "transport.port",
                Warning,
            ),
            (
                |it| {
                    it["versions"][0]["args"] = json!(["/usr/bin/node", "server.js"]);
                    it["resources"] = json!({"cpu_millis": 100, "memory_bytes": 32 << 20});
                },
                "resources.memory_bytes",
                Warning,
            ),
            (
                |it| it["config"]["bindings"] = json!([]),
                "config.schema.properties.zone",
                Warning,
            ),
            (
                |it| it["config"]["defaults"] = json!({"zone": 7}),
                "config.defaults.zone",
                Failed,
            ),
            (
                |it| it["config"]["schema"]["properties"]["zone"] = json!({"type": "string"}),
                "config.schema.properties.zone",
                Warning,
            ),
            (
                |it| it["config"]["schema"]["additionalProperties"] = json!(true),
                "config.schema.additionalProperties",
                Warning,
            ),
            (
                |it| it["secrets"] = json!([{"name": "API_KEY"}]),
                "secrets.API_KEY",
                Warning,
            ),
        ];
        for (change, name, outcome) in cases {
            assert_eq!(found(change), [(name.to_owned(), outcome)]);
        }
    }
}
