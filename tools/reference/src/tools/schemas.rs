//! Tools whose schemas say more than the types of arguments.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::{text, tool_with};
use crate::server::Reference;

pub(super) fn router() -> ToolRouter<Reference> {
    ToolRouter::new()
        .with_route((
            tool_with(
                "json_schema_2020_12_tool",
                "Has a schema that needs JSON Schema 2020-12",
                address_book_entry(),
            ),
            |arguments: JsonObject| Value::Object(arguments).to_string(),
        ))
        .with_route((
            tool_with(
                "test_custom_header",
                "Takes an argument that clients also send as a header (SEP-2243)",
                json!({
                    "type": "object",
                    "properties": { "value": { "type": "string", "x-mcp-header": "Value" } },
                    "required": ["value"],
                }),
            ),
            |arguments: JsonObject| text(&arguments, "value").map(str::to_owned),
        ))
}

/// Uses what is new in 2020-12, and what tools may use since SEP-2106.
fn address_book_entry() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {
                    "street": { "type": "string" },
                    "city": { "type": "string" },
                },
            },
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}
