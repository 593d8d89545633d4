//! Tools that always answer the same: one for each kind of content, and one that fails.

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use super::tool;
use crate::samples::{PNG, WAV};
use crate::server::Reference;

pub(super) fn router() -> ToolRouter<Reference> {
    let text = |uri, text, mime_type| {
        ContentBlock::resource(ResourceContents::text(text, uri).with_mime_type(mime_type))
    };
    let tools = [
        (
            tool("test_simple_text", "Answers with a text"),
            CallToolResult::success(vec![ContentBlock::text(
                "This is a simple text response for testing.",
            )]),
        ),
        (
            tool("test_image_content", "Answers with a picture"),
            CallToolResult::success(vec![ContentBlock::image(PNG, "image/png")]),
        ),
        (
            tool("test_audio_content", "Answers with a sound"),
            CallToolResult::success(vec![ContentBlock::audio(WAV, "audio/wav")]),
        ),
        (
            tool("test_embedded_resource", "Answers with a resource"),
            CallToolResult::success(vec![text(
                "test://embedded-resource",
                "This is an embedded resource content.",
                "text/plain",
            )]),
        ),
        (
            tool(
                "test_multiple_content_types",
                "Answers with content of three kinds",
            ),
            CallToolResult::success(vec![
                ContentBlock::text("Multiple content types test:"),
                ContentBlock::image(PNG, "image/png"),
                text(
                    "test://mixed-content-resource",
                    r#"{"test":"data","value":123}"#,
                    "application/json",
                ),
            ]),
        ),
        (
            tool("test_error_handling", "Always fails"),
            CallToolResult::error(vec![ContentBlock::text(
                "This tool intentionally returns an error for testing",
            )]),
        ),
    ];
    tools
        .into_iter()
        .fold(ToolRouter::new(), |router, (tool, result)| {
            router.with_route((tool, move || result.clone()))
        })
}
