//! Resources that never change, and a template of any number of them.

use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::json;

use crate::samples::PNG;

/// What stands before and after the id in the template's URIs.
const TEMPLATE: (&str, &str) = ("test://template/", "/data");

/// What is listed.
pub(crate) fn list() -> Vec<Resource> {
    [
        ("test://static-text", "A short text", "text/plain"),
        ("test://static-binary", "A red pixel", "image/png"),
        (
            "test://watched-resource",
            "A text to subscribe to",
            "text/plain",
        ),
    ]
    .map(|(uri, description, mime_type)| {
        Resource::new(uri, uri.trim_start_matches("test://"))
            .with_description(description)
            .with_mime_type(mime_type)
    })
    .into()
}

/// The templates that are listed.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let (before, after) = TEMPLATE;
    vec![
        ResourceTemplate::new(format!("{before}{{id}}{after}"), "template")
            .with_description("Says which id it was asked for")
            .with_mime_type("application/json"),
    ]
}

/// What a URI stands for.
///
/// # Errors
///
/// Nothing has that URI.
pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = match uri {
        "test://static-text" => {
            ResourceContents::text("This is the content of the static text resource.", uri)
                .with_mime_type("text/plain")
        }
        "test://static-binary" => ResourceContents::blob(PNG, uri).with_mime_type("image/png"),
        "test://watched-resource" => {
            ResourceContents::text("Nothing ever happens here.", uri).with_mime_type("text/plain")
        }
        _ => {
            let id = template_id(uri).ok_or_else(|| {
                ErrorData::resource_not_found("Resource not found", Some(json!({ "uri": uri })))
            })?;
            let data = json!({
                "id": id,
                "templateTest": true,
                "data": format!("Data for ID: {id}"),
            });
            ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

/// The id in a URI that the template makes.
fn template_id(uri: &str) -> Option<&str> {
    let (before, after) = TEMPLATE;
    uri.strip_prefix(before)?
        .strip_suffix(after)
        .filter(|id| !id.is_empty() && !id.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_can_be_read() {
        for resource in list() {
            assert!(read(&resource.uri).is_ok(), "{}", resource.uri);
        }
    }

    #[test]
    fn a_template_takes_one_id() {
        assert_eq!(template_id("test://template/7/data"), Some("7"));
        for uri in [
            "test://template//data",
            "test://template/1/2/data",
            "test://other/1/data",
        ] {
            assert_eq!(template_id(uri), None, "{uri}");
        }
    }
}
