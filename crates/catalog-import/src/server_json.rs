//! `server.json` of the MCP Registry, in the schema versions that are in use, and what its API answers.
//!
//! Names of fields are those of today; those of 2025-07-09 (with underscores) are taken too. Fields that
//! are unknown are passed over, as the format asks. [`entry`] makes an entry of it, [`inputs`] settings
//! and secrets.

mod entry;
mod inputs;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Problem, words};

pub(crate) use entry::draft;

/// The schema that we write.
pub const SCHEMA: &str =
    "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
/// Those that we read.
const KNOWN: [&str; 7] = [
    "2025-07-09",
    "2025-09-16",
    "2025-09-29",
    "2025-10-11",
    "2025-10-17",
    "2025-12-11",
    "draft",
];
/// Where a registry puts what it says itself of an entry.
pub const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

/// A server's description.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct Server {
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    pub name: String,
    pub description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub version: String,
    #[serde(rename = "version_detail", skip_serializing)]
    pub version_detail: Option<VersionDetail>,
    #[serde(alias = "website_url", skip_serializing_if = "Option::is_none")]
    pub website_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<Repository>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub icons: Vec<Icon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<Transport>,
}

/// Where the version stood in 2025-07-09.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct VersionDetail {
    pub version: String,
}

/// Where the source is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct Repository {
    pub url: String,
    pub source: String,
}

/// A picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct Icon {
    pub src: String,
}

/// One form in which the server can be had to be run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct Package {
    #[serde(alias = "registry_type", alias = "registry_name")]
    pub registry_type: String,
    #[serde(alias = "registry_base_url", skip_serializing_if = "Option::is_none")]
    pub registry_base_url: Option<String>,
    pub identifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(alias = "runtime_hint", skip_serializing_if = "Option::is_none")]
    pub runtime_hint: Option<String>,
    pub transport: Transport,
    #[serde(alias = "runtime_arguments", skip_serializing_if = "Vec::is_empty")]
    pub runtime_arguments: Vec<Argument>,
    #[serde(alias = "package_arguments", skip_serializing_if = "Vec::is_empty")]
    pub package_arguments: Vec<Argument>,
    #[serde(alias = "environment_variables", skip_serializing_if = "Vec::is_empty")]
    pub environment_variables: Vec<KeyValue>,
}

/// How it speaks: of a package, or of a server that runs elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct Transport {
    #[serde(rename = "type", alias = "transport_type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<KeyValue>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Input>,
}

/// A value that may have to be given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct Input {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(alias = "is_required", skip_serializing_if = "std::ops::Not::not")]
    pub is_required: bool,
    #[serde(alias = "is_secret", skip_serializing_if = "std::ops::Not::not")]
    pub is_secret: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Self>,
}

/// A variable or a header.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct KeyValue {
    pub name: String,
    #[serde(flatten)]
    pub input: Input,
}

/// An argument.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(
    missing_docs,
    reason = "the fields are those of the format, which describes them"
)]
pub struct Argument {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(alias = "value_hint", skip_serializing_if = "Option::is_none")]
    pub value_hint: Option<String>,
    #[serde(alias = "is_repeated", skip_serializing_if = "std::ops::Not::not")]
    pub is_repeated: bool,
    #[serde(flatten)]
    pub input: Input,
}

/// A server with what a registry says of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wrapped {
    pub(crate) server: Server,
    /// `active`, `deprecated` or `deleted`.
    pub(crate) status: Option<String>,
}

impl Wrapped {
    /// Reads a `server.json`, or what a registry answers for one server.
    pub(crate) fn read(value: &Value) -> Result<Self, Problem> {
        let inner = value.get("server").filter(|inner| inner.is_object());
        let meta = value.get("_meta").and_then(|meta| meta.get(OFFICIAL));
        let status = meta
            .and_then(|meta| meta.get("status"))
            .and_then(Value::as_str);
        let description = inner.unwrap_or(value);
        schema_is_known(description.get("$schema").and_then(Value::as_str))?;
        let mut server = Server::deserialize(description).map_err(|error| {
            // What serde says in front of that repeats the value.
            let said = error.to_string();
            let expected = said.rsplit_once("expected").map_or("", |(_, after)| after);
            Problem::new(format!(
                "it does not fit the format: a field should be{expected}"
            ))
        })?;
        if let Some(detail) = server.version_detail.take()
            && server.version.is_empty()
        {
            server.version = detail.version;
        }
        let status = status.map(str::to_owned).or_else(|| server.status.clone());
        Ok(Self { server, status })
    }
}

fn schema_is_known(schema: Option<&str>) -> Result<(), Problem> {
    let Some(schema) = schema else { return Ok(()) };
    let known = |version: &&str| schema.split('/').any(|part| part == *version);
    if KNOWN.iter().any(known) {
        return Ok(());
    }
    Err(Problem::new(format!(
        "its schema `{}` is none that is known here; known are {}. Newer ones may mean something else by the \
         same words, so nothing was taken: write it in one of these, or update Agentopia",
        words::line(schema, 120),
        KNOWN.join(", ")
    )))
}

#[cfg(test)]
mod tests;
