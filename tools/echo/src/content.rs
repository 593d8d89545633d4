//! Resources and prompts.

use serde_json::{Value, json};

use crate::rpc::{Error, INVALID_PARAMS};

const GREETING_URI: &str = "echo://greeting";
const TEXT_PREFIX: &str = "echo://text/";

pub(crate) fn resources() -> Value {
    json!({ "resources": [{
        "uri": GREETING_URI,
        "name": "greeting",
        "description": "The configured greeting",
        "mimeType": "text/plain",
    }] })
}

pub(crate) fn templates() -> Value {
    json!({ "resourceTemplates": [{
        "uriTemplate": "echo://text/{text}",
        "name": "text",
        "description": "The text in the address itself",
        "mimeType": "text/plain",
    }] })
}

pub(crate) fn read(params: &Value, greeting: &str) -> Result<Value, Error> {
    let uri = params["uri"]
        .as_str()
        .ok_or_else(|| Error::new(INVALID_PARAMS, "uri is missing"))?;
    let text = if uri == GREETING_URI {
        greeting
    } else if let Some(text) = uri.strip_prefix(TEXT_PREFIX) {
        text
    } else {
        let data = Some(json!({ "uri": uri }));
        return Err(Error {
            code: INVALID_PARAMS,
            message: "Resource not found".to_owned(),
            data,
        });
    };
    Ok(json!({ "contents": [{ "uri": uri, "mimeType": "text/plain", "text": text }] }))
}

pub(crate) fn prompts() -> Value {
    json!({ "prompts": [{
        "name": "greet",
        "description": "Greets somebody with the configured greeting",
        "arguments": [{ "name": "name", "description": "Whom to greet", "required": true }],
    }] })
}

pub(crate) fn prompt(params: &Value, greeting: &str) -> Result<Value, Error> {
    if params["name"] != "greet" {
        return Err(Error::new(INVALID_PARAMS, "unknown prompt: there is greet"));
    }
    let name = params["arguments"]["name"]
        .as_str()
        .ok_or_else(|| Error::new(INVALID_PARAMS, "the argument name is missing"))?;
    Ok(json!({
        "description": "A greeting",
        "messages": [{
            "role": "user",
            "content": { "type": "text", "text": format!("{greeting}, {name}!") },
        }],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_read_by_address_and_by_template() {
        let text = |uri: &str| {
            read(&json!({ "uri": uri }), "hi").map(|result| result["contents"][0]["text"].clone())
        };
        assert_eq!(text("echo://greeting").unwrap(), "hi");
        assert_eq!(text("echo://text/abc").unwrap(), "abc");
        assert_eq!(text("echo://none").unwrap_err().code, INVALID_PARAMS);
    }

    #[test]
    fn a_prompt_needs_its_argument() {
        let with = prompt(
            &json!({ "name": "greet", "arguments": { "name": "Ada" } }),
            "hi",
        );
        assert_eq!(with.unwrap()["messages"][0]["content"]["text"], "hi, Ada!");
        assert!(prompt(&json!({ "name": "greet" }), "hi").is_err());
        assert!(prompt(&json!({ "name": "other" }), "hi").is_err());
    }
}
