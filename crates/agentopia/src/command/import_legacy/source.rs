//! Where the old rows come from: a JSON file, standard input, or the old database itself.

use agentopia_api::legacy::{ImportProblem, LegacyImportRequest};
use agentopia_store::read_legacy;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;
use crate::input;

/// The rows of both tables, and those that can't be read.
pub(super) async fn read(from: &str) -> Result<Read, Failure> {
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

/// What was read; rows that make no sense don't keep the others from being imported.
type Read = (LegacyImportRequest, Vec<ImportProblem>);

fn parse(mut tables: Value) -> Result<Read, String> {
    let mut problems = Vec::new();
    let request = LegacyImportRequest {
        agent_droplets: rows(&mut tables, "agent_droplets", &mut problems)?,
        agent_droplet_tools: rows(&mut tables, "agent_droplet_tools", &mut problems)?,
        ..LegacyImportRequest::default()
    };
    Ok((request, problems))
}

/// One table. An empty one is `null` where `json_agg` made it.
fn rows<T: DeserializeOwned>(
    tables: &mut Value,
    table: &str,
    problems: &mut Vec<ImportProblem>,
) -> Result<Vec<T>, String> {
    let Some(object) = tables.as_object_mut() else {
        return Err("it is no JSON object with the tables".to_owned());
    };
    let all = match object.remove(table) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(all)) => all,
        Some(_) => return Err(format!("`{table}` is no array of rows")),
    };
    let mut read = Vec::with_capacity(all.len());
    for (index, row) in all.into_iter().enumerate() {
        let id = match row.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => format!("number {} of the table", index + 1),
        };
        let parsed = match row {
            Value::Object(_) => serde_json::from_value(row).map_err(|error| error.to_string()),
            _ => Err("it is no object".to_owned()),
        };
        match parsed {
            Ok(row) => read.push(row),
            Err(error) => problems.push(ImportProblem {
                table: table.to_owned(),
                id,
                problem: format!("it can't be read: {error}; mend the row"),
            }),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_read_whatever_types_their_columns_had() {
        let (read, problems) = parse(json!({
            "agent_droplets": [{"id": 1, "agent_id": "a", "user_id": 7, "droplet_id": 42,
                "ip_address": null, "status": "active", "created_at": "2024-01-01T00:00:00"}],
            "agent_droplet_tools": [{"id": "x", "agent_droplet_id": 1, "tool_catalog_id": "t",
                "config_details": "{\"depth\": 3}", "version": null}],
            "another_table": [],
        }))
        .unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(read.agent_droplets[0].user_id, "7");
        assert_eq!(read.agent_droplets[0].droplet_id.as_deref(), Some("42"));
        let config = read.agent_droplet_tools[0].config_details.as_ref().unwrap();
        assert_eq!(config["depth"], 3);
        let (empty, _) =
            parse(json!({"agent_droplets": null, "agent_droplet_tools": null})).unwrap();
        assert_eq!(empty, LegacyImportRequest::default());
    }

    #[test]
    fn a_bad_row_is_named_without_its_settings_and_the_others_are_read() {
        let good = json!({"id": 2, "agent_id": "a", "user_id": 7});
        let (read, problems) = parse(json!({
            "agent_droplets": [{"id": 1, "agent_id": null, "user_id": 7}, good, "canary"],
            "agent_droplet_tools": [{"id": "x", "agent_droplet_id": 2, "tool_catalog_id": 1,
                "config_details": "canary"}],
        }))
        .unwrap();
        assert_eq!(read.agent_droplets.len(), 1);
        assert_eq!(read.agent_droplets[0].id, "2");
        let told: Vec<_> = problems
            .iter()
            .map(|it| format!("{} {}: {}", it.table, it.id, it.problem))
            .collect();
        let [no_agent, no_row, no_settings] = &told[..] else {
            panic!("{told:?}");
        };
        assert!(no_agent.starts_with("agent_droplets 1: "), "{no_agent}");
        assert!(no_row.contains("number 3"), "{no_row}");
        assert!(!no_row.contains("canary"), "{no_row}");
        assert!(no_settings.contains("config_details"), "{no_settings}");
        assert!(!no_settings.contains("canary"), "{no_settings}");
        assert!(parse(json!([])).is_err());
        assert!(parse(json!({"agent_droplets": 1})).is_err());
    }
}
