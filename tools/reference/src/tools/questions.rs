//! Tools that ask the client within a session, and a tool that needs a client who can be asked.

#![expect(
    deprecated,
    reason = "the conformance suite tests what the protocol still has"
)]

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{ClientCapabilities, JsonObject};
use rmcp::service::{Peer, RequestContext};
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use super::{text, tool, tool_with};
use crate::round_trips::{form, sample};
use crate::server::Reference;

pub(super) fn router() -> ToolRouter<Reference> {
    ToolRouter::new()
        .with_route((
            tool_with(
                "test_sampling",
                "Asks the client's language model",
                one_text("prompt"),
            ),
            ask_model,
        ))
        .with_route((
            tool_with(
                "test_elicitation",
                "Asks the client's user",
                one_text("message"),
            ),
            |peer, arguments: JsonObject| async move {
                ask_user(peer, text(&arguments, "message")?, account()).await
            },
        ))
        .with_route((
            tool(
                "test_elicitation_sep1034_defaults",
                "Asks with defaults for all types",
            ),
            |peer| ask_user(peer, "Is this right?", defaults()),
        ))
        .with_route((
            tool(
                "test_elicitation_sep1330_enums",
                "Asks to choose, in all ways there are",
            ),
            |peer| ask_user(peer, "Which ones?", choices()),
        ))
        .with_route((
            tool(
                "test_missing_capability",
                "Needs a client with a language model",
            ),
            need_model,
        ))
}

async fn ask_model(peer: Peer<RoleServer>, arguments: JsonObject) -> Result<String, String> {
    let request = sample(text(&arguments, "prompt")?);
    let result = peer
        .create_message(request)
        .await
        .map_err(|error| error.to_string())?;
    let said = result
        .message
        .content
        .first()
        .and_then(|content| content.as_text());
    Ok(format!(
        "LLM response: {}",
        said.map_or("none", |text| &text.text)
    ))
}

async fn ask_user(peer: Peer<RoleServer>, message: &str, schema: Value) -> Result<String, String> {
    let form = form(message, schema).map_err(|error| error.to_string())?;
    let result = peer
        .create_elicitation(form)
        .await
        .map_err(|error| error.to_string())?;
    let answer = serde_json::to_string(&result).map_err(|error| error.to_string())?;
    Ok(format!("User response: {answer}"))
}

fn need_model(context: RequestContext<RoleServer>) -> Result<String, ErrorData> {
    let client = context.client_capabilities().unwrap_or_default();
    if client.sampling.is_none() {
        return Err(ErrorData::missing_required_client_capability(
            ClientCapabilities::builder().enable_sampling().build(),
        ));
    }
    Ok("The client has one".to_owned())
}

fn one_text(name: &str) -> Value {
    json!({
        "type": "object",
        "properties": { name: { "type": "string", "description": "What to ask" } },
        "required": [name],
    })
}

fn account() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": {
                "type": "string",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": { "type": "boolean", "default": true },
        },
    })
}

fn choices() -> Value {
    let plain = json!({ "type": "string", "enum": ["option1", "option2", "option3"] });
    let titled = |what: &str| -> Value {
        ["First", "Second", "Third"]
            .iter()
            .zip(1..)
            .map(|(title, n)| json!({ "const": format!("value{n}"), "title": format!("{title} {what}") }))
            .collect()
    };
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": plain,
            "titledSingle": { "type": "string", "oneOf": titled("Option") },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": { "type": "array", "items": plain },
            "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
        },
    })
}
