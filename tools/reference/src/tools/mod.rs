//! Tools, each by the name that a scenario of the conformance suite calls it by.
//!
//! * [`content`]: what a result can hold. [`schemas`]: what a tool's schema can say.
//! * [`notes`]: notifications while a tool runs. [`changes`]: that lists changed.
//! * [`questions`]: asking the client within a session. [`rounds`]: the same without one.

mod changes;
mod content;
mod notes;
mod questions;
mod rounds;
mod schemas;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{JsonObject, Tool, object};
use serde_json::{Value, json};

use crate::server::Reference;

/// All tools.
pub(crate) fn router() -> ToolRouter<Reference> {
    content::router()
        + schemas::router()
        + notes::router()
        + changes::router()
        + questions::router()
        + rounds::router()
}

/// A tool without arguments.
fn tool(name: &'static str, description: &'static str) -> Tool {
    tool_with(
        name,
        description,
        json!({ "type": "object", "properties": {} }),
    )
}

/// A tool whose arguments are as the schema says, which is an object.
fn tool_with(name: &'static str, description: &'static str, schema: Value) -> Tool {
    Tool::new(name, description, object(schema))
}

/// An argument that is a text; otherwise what to tell the caller.
fn text<'a>(arguments: &'a JsonObject, name: &str) -> Result<&'a str, String> {
    let argument = arguments.get(name).and_then(Value::as_str);
    argument.ok_or_else(|| format!("The argument {name} must be a text"))
}
