//! Where the old rows come from: a JSON file, standard input, or the old database itself.

use agentopia_api::legacy::LegacyImportRequest;
use agentopia_store::read_legacy;
use secrecy::SecretString;
use serde_json::Value;

use crate::failure::Failure;
use crate::input;

/// The rows of both tables.
pub(super) async fn read(from: &str) -> Result<LegacyImportRequest, Failure> {
    if from.starts_with("postgres://") || from.starts_with("postgresql://") {
        let tables = read_legacy(&SecretString::from(from))
            .await
            .map_err(|error| Failure::other(error, "the old database can't be read"))?;
        return parse(tables).map_err(|problem| Failure::Usage(format!("the database: {problem}")));
    }
    let text = if from == "-" {
        input::all("rows").await?
    } else {
        std::fs::read_to_string(from)
            .map_err(|error| Failure::Usage(format!("{from} can't be read: {error}")))?
    };
    // What serde_json says names a line and never a value.
    let tables = serde_json::from_str(&text).map_err(|error| error.to_string());
    tables
        .and_then(parse)
        .map_err(|problem| Failure::Usage(format!("{from}: {problem}")))
}

/// An empty table is `null` where `json_agg` made it.
fn parse(mut tables: Value) -> Result<LegacyImportRequest, String> {
    let Some(object) = tables.as_object_mut() else {
        return Err("it is no JSON object with the tables".to_owned());
    };
    object.retain(|name, rows| {
        ["agent_droplets", "agent_droplet_tools"].contains(&name.as_str()) && !rows.is_null()
    });
    object
        .entry("agent_droplets")
        .or_insert_with(|| Value::Array(Vec::new()));
    serde_json::from_value(tables).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_read_whatever_types_their_columns_had() {
        let read = parse(json!({
            "agent_droplets": [{"id": 1, "agent_id": "a", "user_id": 7, "droplet_id": 42,
                "ip_address": null, "status": "active", "created_at": "2024-01-01T00:00:00"}],
            "agent_droplet_tools": [{"id": "x", "agent_droplet_id": 1, "tool_catalog_id": "t",
                "config_details": "{\"depth\": 3}", "version": null}],
            "another_table": [],
        }))
        .unwrap();
        assert_eq!(read.agent_droplets[0].user_id, "7");
        assert_eq!(read.agent_droplets[0].droplet_id.as_deref(), Some("42"));
        let config = read.agent_droplet_tools[0].config_details.as_ref().unwrap();
        assert_eq!(config["depth"], 3);
        let empty = parse(json!({"agent_droplets": null, "agent_droplet_tools": null})).unwrap();
        assert_eq!(empty, LegacyImportRequest::default());
    }

    #[test]
    fn what_is_missing_is_named_and_settings_are_not_repeated() {
        let error = parse(json!({"agent_droplets": [{"id": 1}]})).unwrap_err();
        assert!(error.contains("agent_id"), "{error}");
        let error = parse(
            json!({"agent_droplet_tools": [{"id": 1, "agent_droplet_id": 1,
            "tool_catalog_id": 1, "config_details": "canary"}]}),
        )
        .unwrap_err();
        assert!(
            error.contains("config_details") && !error.contains("canary"),
            "{error}"
        );
        assert!(parse(json!([])).is_err());
    }
}
