//! The two tools that an agent sees in search mode.

use serde_json::{Value, json};

pub(super) const FIND: &str = "find_tool";
pub(super) const CALL: &str = "call_tool";
/// How many tools an answer has at most unless the agent says, and at most whatever it says.
pub(super) const LIMIT: u64 = 10;
pub(super) const MOST: u64 = 50;

/// What the agent is told of them when it connects.
pub(crate) const INSTRUCTIONS: &str = "The tools here are found with find_tool, by what is to be \
     done or by name, and called with call_tool.";

pub(super) fn find() -> Value {
    json!({
        "name": FIND,
        "title": "Find tools",
        "description": "Finds the tools that suit a task, the best ones first, each with its description and \
            the schema of its arguments. Call what was found with call_tool.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {
                    "type": "string",
                    "description": "What is to be done, in a few words, or the name of a tool; empty for all tools",
                },
                "limit": { "type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT },
            },
            "required": ["query"],
        },
        "outputSchema": {
            "type": "object",
            "properties": {
                "tools": { "type": "array", "items": { "type": "object" } },
                "more": { "type": "integer", "description": "How many others suit as well" },
            },
            "required": ["tools", "more"],
        },
        "annotations": { "readOnlyHint": true, "idempotentHint": true, "openWorldHint": false },
    })
}

pub(super) fn call() -> Value {
    json!({
        "name": CALL,
        "title": "Call a tool",
        "description": "Calls a tool that find_tool found, and answers as it does.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "name": { "type": "string", "description": "The tool's name, as find_tool gave it" },
                "arguments": {
                    "type": "object",
                    "description": "Its arguments, by its inputSchema",
                    "default": {},
                },
            },
            "required": ["name"],
        },
    })
}
