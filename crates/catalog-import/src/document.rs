//! A text that was pasted, read from a file or fetched: finds out what it is and takes it apart.

use serde_json::{Map, Value};

use crate::server_json::{self, Wrapped};
use crate::{Draft, Found, MAX_DOCUMENT, Options, Problem, mcp_servers, words};

/// What was in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// One item a server.
    pub found: Vec<Found>,
    /// Of a registry's page: where the next one begins.
    pub next_cursor: Option<String>,
}

/// Reads `mcpServers` (in the forms of several clients), a `server.json`, a registry's answer for one
/// server, or a page of a registry.
///
/// # Errors
/// Where it is none of them, or too much. What is wrong with one server of several stands in its item.
pub fn read(text: &str, options: &Options) -> Result<Document, Problem> {
    let value = json(text)?;
    let Value::Object(fields) = value else {
        return Err(unknown());
    };
    if let Some(servers) = servers(&fields) {
        return Ok(Document {
            found: mcp_servers::read(servers, options)?,
            next_cursor: None,
        });
    }
    if let Some(Value::Array(servers)) = fields.get("servers") {
        let found = servers.iter().map(|server| one(server, options));
        let next = fields.get("metadata").and_then(|metadata| {
            let cursor = metadata
                .get("nextCursor")
                .or_else(|| metadata.get("next_cursor"));
            cursor?.as_str().map(str::to_owned)
        });
        return Ok(Document {
            found: found.collect(),
            next_cursor: next.filter(|cursor| !cursor.is_empty()),
        });
    }
    let is_server = |fields: &Map<String, Value>| {
        fields.contains_key("name")
            && [
                "$schema",
                "packages",
                "remotes",
                "version",
                "version_detail",
            ]
            .iter()
            .any(|key| fields.contains_key(*key))
    };
    let inner = fields.get("server").and_then(Value::as_object);
    if is_server(&fields) || inner.is_some_and(is_server) {
        // The only one: what is wrong with it is wrong with the whole.
        let found = one(&Value::Object(fields), options);
        let outcome = Ok(found.outcome?);
        return Ok(Document {
            found: vec![Found { outcome, ..found }],
            next_cursor: None,
        });
    }
    Err(unknown())
}

fn unknown() -> Problem {
    Problem::new(
        "this is neither a server.json of the MCP Registry nor a block with `mcpServers`: look whether all \
         of it was copied",
    )
}

fn json(text: &str) -> Result<Value, Problem> {
    if text.len() > MAX_DOCUMENT {
        return Err(Problem::new(format!(
            "it has more than {} MiB, which no description of a server has",
            MAX_DOCUMENT >> 20
        )));
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    // READMEs show the block without the braces around it.
    let wrapped;
    let text = if text.starts_with('"') {
        wrapped = format!("{{{}}}", text.trim_end_matches(','));
        &wrapped
    } else {
        text
    };
    serde_json::from_str(text).map_err(|error| {
        Problem::new(format!(
            "it is no JSON that can be read: {error} (comments and commas at the end of lists are no JSON)"
        ))
    })
}

/// The servers of a client's file: under the name that the client has for them, or without one.
fn servers(fields: &Map<String, Value>) -> Option<&Map<String, Value>> {
    for key in ["mcpServers", "context_servers", "servers"] {
        if let Some(Value::Object(servers)) = fields.get(key) {
            return Some(servers);
        }
    }
    if let Some(Value::Object(inner)) = fields.get("mcp")
        && let Some(Value::Object(servers)) =
            inner.get("servers").or_else(|| inner.get("mcpServers"))
    {
        return Some(servers);
    }
    let is_one = |server: &Value| {
        ["command", "url", "serverUrl", "httpUrl"]
            .iter()
            .any(|key| server.get(*key).is_some_and(Value::is_string))
    };
    (!fields.is_empty() && fields.values().all(is_one)).then_some(fields)
}

fn one(server: &Value, options: &Options) -> Found {
    let name = |server: &Value| {
        server
            .get("name")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let name = name(server)
        .or_else(|| server.get("server").and_then(name))
        .unwrap_or_default();
    Found {
        name: words::line(&name, 200),
        outcome: outcome(server, options),
    }
}

fn outcome(server: &Value, options: &Options) -> Result<Draft, Problem> {
    server_json::draft(&Wrapped::read(server)?, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        read(text, &Options::default()).unwrap_err().0
    }

    #[test]
    fn what_is_no_description_of_a_server_is_refused_as_a_whole() {
        for text in [
            "",
            "[]",
            "1",
            "null",
            "{}",
            "{\"a\":1}",
            "{\"name\":\"x\"}",
            "{\"mcpServers\":{}}",
            "{\"mcpServers\":[]}",
        ] {
            assert!(read(text, &Options::default()).is_err(), "{text}");
        }
        assert!(refused("{").contains("no JSON"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(refused(&deep).contains("no JSON"));
        assert!(refused(&" ".repeat(MAX_DOCUMENT + 1)).contains("MiB"));
        let many: Map<String, Value> = (0..201)
            .map(|n| {
                (
                    n.to_string(),
                    serde_json::json!({"url": "https://a.example"}),
                )
            })
            .collect();
        assert!(refused(&serde_json::json!({"mcpServers": many}).to_string()).contains("200"));
    }

    #[test]
    fn the_forms_of_several_clients_are_one() {
        let server = r#""x": {"type": "http", "url": "https://a.example/mcp"}"#;
        for text in [
            format!("{{\"mcpServers\": {{{server}}}}}"),
            format!("\"mcpServers\": {{{server}}},"),
            format!("{{\"servers\": {{{server}}}, \"inputs\": []}}"),
            format!("{{\"mcp\": {{\"servers\": {{{server}}}}}}}"),
            format!("{{{server}}}"),
            format!("\u{feff}{{{server}}}"),
        ] {
            let document = read(&text, &Options::default()).unwrap();
            assert_eq!(document.found.len(), 1, "{text}");
            assert!(document.found[0].outcome.is_ok(), "{text}");
        }
    }

    /// Any JSON, with names that mean something among the keys.
    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::String),
            prop_oneof![
                Just("npx"),
                Just("docker"),
                Just("run"),
                Just("oci"),
                Just("npm"),
                Just("named"),
                Just("-e"),
                Just("{x}"),
                Just("${"),
                Just("https://{a}/")
            ]
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            let key = prop_oneof![
                "\\PC{0,8}",
                prop_oneof![
                    Just("mcpServers"),
                    Just("command"),
                    Just("args"),
                    Just("env"),
                    Just("url"),
                    Just("headers"),
                    Just("name"),
                    Just("version"),
                    Just("packages"),
                    Just("remotes"),
                    Just("registryType"),
                    Just("identifier"),
                    Just("packageArguments"),
                    Just("runtimeArguments"),
                    Just("environmentVariables"),
                    Just("variables"),
                    Just("value"),
                    Just("default"),
                    Just("type"),
                    Just("transport"),
                    Just("server"),
                    Just("servers")
                ]
                .prop_map(str::to_owned),
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec((key, inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_document_breaks_it_and_every_entry_can_be_used(value in anything()) {
            for value in [value.clone(), serde_json::json!({"mcpServers": {"x": value}}), serde_json::json!({
                "name": "a.b/c", "version": "1", "packages": [value], "remotes": [value],
            })] {
                if let Ok(document) = read(&value.to_string(), &Options::default()) {
                    for found in document.found {
                        if let Ok(draft) = found.outcome {
                            prop_assert_eq!(draft.definition.check(), Ok(()));
                        }
                    }
                }
            }
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,200}") {
            let _ = read(&text, &Options::default());
        }
    }
}
