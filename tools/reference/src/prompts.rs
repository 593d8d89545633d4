//! Prompts: a plain one, ones with arguments, with a resource, with a picture, and one that asks back.

use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, ContentBlock, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
    JsonObject, Prompt, PromptArgument, PromptMessage, ResourceContents, Role,
};
use serde_json::Value;

use crate::round_trips::{Ask, Exchange, Memory, Next, Question, Returned};
use crate::samples::PNG;

/// The prompt that asks for what it is to be about.
const ASKS_BACK: Exchange = Exchange {
    name: "test_input_required_result_prompt",
    rounds: &[&[Question {
        key: "user_context",
        ask: Ask::Form {
            message: "What context should the prompt use?",
            field: "context",
            of: "string",
        },
    }]],
    memory: Memory::None,
};

/// A name and a description.
type Described = (&'static str, &'static str);

/// What is listed, each with its arguments, which are all required.
const PROMPTS: &[(Described, &[Described])] = &[
    (("test_simple_prompt", "Takes no arguments"), &[]),
    (
        ("test_prompt_with_arguments", "Repeats its arguments"),
        &[
            ("arg1", "The first argument"),
            ("arg2", "The second argument"),
        ],
    ),
    (
        ("test_prompt_with_embedded_resource", "Holds a resource"),
        &[("resourceUri", "The URI of the resource")],
    ),
    (("test_prompt_with_image", "Holds a picture"), &[]),
    ((ASKS_BACK.name, "Asks for a context first"), &[]),
];

/// What is listed.
pub(crate) fn list() -> Vec<Prompt> {
    let prompt = |&((name, description), arguments): &(Described, &[Described])| {
        let argument = |&(name, description): &Described| {
            PromptArgument::new(name)
                .with_description(description)
                .with_required(true)
        };
        let arguments = arguments.iter().map(argument).collect::<Vec<_>>();
        let arguments = (!arguments.is_empty()).then_some(arguments);
        Prompt::new(name, Some(description), arguments)
    };
    PROMPTS.iter().map(prompt).collect()
}

/// Makes a prompt of its arguments.
///
/// # Errors
///
/// There is no such prompt, an argument is missing, or see [`Exchange::go_on`].
pub(crate) fn get(
    request: GetPromptRequestParams,
    client: &ClientCapabilities,
) -> Result<GetPromptResponse, ErrorData> {
    let arguments = request.arguments.unwrap_or_default();
    let contents = match &*request.name {
        "test_simple_prompt" => vec![ContentBlock::text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (one, two) = (text(&arguments, "arg1")?, text(&arguments, "arg2")?);
            let text = format!("Prompt with arguments: arg1='{one}', arg2='{two}'");
            vec![ContentBlock::text(text)]
        }
        "test_prompt_with_embedded_resource" => {
            let uri = text(&arguments, "resourceUri")?;
            let resource = ResourceContents::text("Embedded resource content for testing.", uri);
            vec![
                ContentBlock::resource(resource.with_mime_type("text/plain")),
                ContentBlock::text("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => vec![
            ContentBlock::image(PNG, "image/png"),
            ContentBlock::text("Please analyze the image above."),
        ],
        name if name == ASKS_BACK.name => {
            let returned = Returned {
                responses: request.input_responses,
                state: request.request_state,
            };
            match ASKS_BACK.go_on(&returned, client)? {
                Next::Ask(questions) => return Ok(questions.into()),
                Next::Done(answers) => answers
                    .iter()
                    .map(|(key, answer)| ContentBlock::text(format!("{key}: {answer}")))
                    .collect(),
            }
        }
        name => {
            let problem = format!("Unknown prompt: {name}");
            return Err(ErrorData::invalid_params(problem, None));
        }
    };
    let says = |content| PromptMessage::new(Role::User, content);
    Ok(GetPromptResult::new(contents.into_iter().map(says).collect()).into())
}

fn text<'a>(arguments: &'a JsonObject, name: &str) -> Result<&'a str, ErrorData> {
    arguments.get(name).and_then(Value::as_str).ok_or_else(|| {
        ErrorData::invalid_params(format!("The argument {name} must be a text"), None)
    })
}
