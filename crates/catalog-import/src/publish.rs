//! Catalog entries as MCP registries show them, so that other clients can read the catalog. Secrets are
//! there by name only: a definition has no values of any.

use std::collections::BTreeMap;

use agentopia_domain::catalog::{
    self as catalog, CatalogDefinition, CatalogStatus, ConfigTarget, Packaging, ToolVersion, text,
};
use agentopia_domain::remote::{self, Piece};
use serde_json::Value;

use crate::server_json::{Argument, Icon, Input, KeyValue, Package, SCHEMA, Server, Transport};
use crate::words;

/// The namespace of entries that came from no registry.
pub const OWN: &str = "agentopia";

/// What registries call an entry.
#[must_use]
pub fn name(definition: &CatalogDefinition) -> String {
    let own = || format!("{OWN}/{}", definition.slug);
    definition.registry_name.clone().unwrap_or_else(own)
}

/// `active`, `deprecated` or `deleted`.
#[must_use]
pub const fn status(status: CatalogStatus) -> &'static str {
    match status {
        CatalogStatus::Available | CatalogStatus::Beta | CatalogStatus::Experimental => "active",
        CatalogStatus::Deprecated => "deprecated",
        CatalogStatus::Archived => "deleted",
    }
}

/// One version of an entry.
#[must_use]
pub fn server(definition: &CatalogDefinition, version: &ToolVersion) -> Server {
    let description = match definition.description.is_empty() {
        true => definition.name.to_string(),
        false => words::line(&definition.description, 100),
    };
    let mut server = Server {
        schema: Some(SCHEMA.to_owned()),
        name: name(definition),
        title: Some(definition.name.to_string()),
        description,
        version: version.version.clone(),
        website_url: definition.documentation_url.clone(),
        icons: definition
            .icon
            .iter()
            .map(|src| Icon { src: src.clone() })
            .collect(),
        ..Server::default()
    };
    match &definition.packaging {
        Packaging::Remote {
            url,
            headers,
            transport,
        } => server.remotes.extend(url.as_ref().map(|url| {
            Transport {
                kind: match transport {
                    remote::RemoteTransport::StreamableHttp => "streamable-http",
                    remote::RemoteTransport::Sse => "sse",
                }
                .to_owned(),
                url: Some(url.clone()),
                headers: headers
                    .iter()
                    .map(|(name, value)| header(definition, name, value))
                    .collect(),
                variables: BTreeMap::new(),
            }
        })),
        Packaging::DockerImage { image } => {
            let tail = match (&version.digest, &version.tag) {
                (Some(digest), _) => format!("@{digest}"),
                (None, tag) => format!(":{}", tag.as_deref().unwrap_or("latest")),
            };
            let package = package(definition, version, "oci", format!("{image}{tail}"));
            server.packages.push(package);
        }
        Packaging::Package { registry, name, .. } => {
            let mut package = package(definition, version, registry.as_str(), name.clone());
            package.version = version.package.as_ref().map(|it| it.version.clone());
            let runtime = version.package.iter().flat_map(|it| &it.runtime_args);
            package.runtime_arguments = runtime.map(|text| fixed(text)).collect();
            server.packages.push(package);
        }
    }
    server
}

fn package(
    definition: &CatalogDefinition,
    version: &ToolVersion,
    kind: &str,
    identifier: String,
) -> Package {
    let transport = version.transport.as_ref().unwrap_or(&definition.transport);
    let mut package = Package {
        registry_type: kind.to_owned(),
        identifier,
        transport: match transport {
            catalog::Transport::Stdio { .. } => local("stdio", None),
            catalog::Transport::StreamableHttp { port, path } => {
                local("streamable-http", Some((*port, path)))
            }
            catalog::Transport::Sse { port, path } => local("sse", Some((*port, path))),
        },
        package_arguments: version.args.iter().map(|text| fixed(text)).collect(),
        ..Package::default()
    };
    for (name, value) in &version.env {
        let input = Input {
            value: Some(value.clone()),
            ..Input::default()
        };
        let name = name.clone();
        package.environment_variables.push(KeyValue { name, input });
    }
    for binding in &definition.config.bindings {
        let input = setting(definition, &binding.property);
        match &binding.target {
            ConfigTarget::Env { name } => {
                let name = name.clone();
                package.environment_variables.push(KeyValue { name, input });
            }
            ConfigTarget::Arg { flag } => {
                let repeated = schema(definition, &binding.property)["type"] == "array";
                package.package_arguments.push(argument(
                    flag.as_ref(),
                    &binding.property,
                    repeated,
                    input,
                ));
            }
            ConfigTarget::EnvText { name, text } => {
                let input = of_text(definition, text);
                let name = name.clone();
                package.environment_variables.push(KeyValue { name, input });
            }
            ConfigTarget::ArgText { flag, text } => {
                let input = of_text(definition, text);
                package.package_arguments.push(argument(
                    flag.as_ref(),
                    &binding.property,
                    false,
                    input,
                ));
            }
        }
    }
    for secret in &definition.secrets {
        package.environment_variables.push(KeyValue {
            name: secret.name.clone(),
            input: secret_input(&secret.description, secret.required),
        });
    }
    package
}

fn local(kind: &str, at: Option<(u16, &String)>) -> Transport {
    Transport {
        kind: kind.to_owned(),
        url: at.map(|(port, path)| format!("http://localhost:{port}{path}")),
        ..Transport::default()
    }
}

fn fixed(text: &str) -> Argument {
    Argument {
        kind: "positional".to_owned(),
        input: Input {
            value: Some(text.to_owned()),
            ..Input::default()
        },
        ..Argument::default()
    }
}

fn argument(flag: Option<&String>, hint: &str, repeated: bool, input: Input) -> Argument {
    Argument {
        kind: if flag.is_some() {
            "named"
        } else {
            "positional"
        }
        .to_owned(),
        name: flag.cloned(),
        value_hint: Some(hint.to_owned()),
        is_repeated: repeated,
        input,
    }
}

fn schema<'a>(definition: &'a CatalogDefinition, property: &str) -> &'a Value {
    &definition.config.schema["properties"][property]
}

fn setting(definition: &CatalogDefinition, property: &str) -> Input {
    let schema = schema(definition, property);
    let required = definition.config.schema["required"].as_array();
    if let Some(text) = schema["const"].as_str() {
        return Input {
            value: Some(text.to_owned()),
            ..Input::default()
        };
    }
    let choices = schema["enum"]
        .as_array()
        .or(schema["items"]["enum"].as_array());
    Input {
        description: schema["description"].as_str().map(str::to_owned),
        is_required: required.is_some_and(|names| names.iter().any(|name| name == property)),
        format: schema["type"]
            .as_str()
            .map(|kind| if kind == "integer" { "number" } else { kind })
            .filter(|kind| matches!(*kind, "number" | "boolean"))
            .map(str::to_owned),
        default: definition
            .config
            .defaults
            .get(property)
            .map(|value| match value {
                Value::String(_) => value.clone(),
                // The format has texts only.
                Value::Array(items) if items.len() == 1 && items[0].is_string() => items[0].clone(),
                other => other.to_string().into(),
            }),
        choices: choices
            .into_iter()
            .flatten()
            .filter_map(|choice| choice.as_str().map(str::to_owned))
            .collect(),
        ..Input::default()
    }
}

/// A text of several settings, each of them a variable of it.
fn of_text(definition: &CatalogDefinition, text: &str) -> Input {
    let names = text::settings(text).unwrap_or_default();
    Input {
        value: Some(text.replace("${config:", "{")),
        variables: names
            .into_iter()
            .map(|name| (name.to_owned(), setting(definition, name)))
            .collect(),
        ..Input::default()
    }
}

fn secret_input(description: &str, required: bool) -> Input {
    Input {
        description: Some(description.to_owned()).filter(|text| !text.is_empty()),
        is_required: required,
        is_secret: true,
        ..Input::default()
    }
}

fn header(definition: &CatalogDefinition, name: &str, value: &str) -> KeyValue {
    let mut variables = BTreeMap::new();
    let mut text = String::new();
    for piece in remote::pieces(value).unwrap_or_default() {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            Piece::Secret(secret) => {
                let known = definition.secrets.iter().find(|it| it.name == secret);
                let input = known.map_or_else(
                    || secret_input("", false),
                    |it| secret_input(&it.description, it.required),
                );
                text.push_str(&format!("{{{secret}}}"));
                variables.insert(secret.to_owned(), input);
            }
        }
    }
    KeyValue {
        name: name.to_owned(),
        input: Input {
            value: Some(text),
            variables,
            ..Input::default()
        },
    }
}
