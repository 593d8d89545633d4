//! Tools that ask the client without a session, see [`crate::round_trips`].

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::{InputResponses, RequestState};
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};

use super::tool;
use crate::round_trips::{Ask, Exchange, Memory, Next, Question, Returned};
use crate::server::Reference;

/// Each tool's description, and how it goes.
const EXCHANGES: &[(&str, Exchange)] = &[
    (
        "Asks the user",
        Exchange {
            name: "test_input_required_result_elicitation",
            rounds: &[&[form("user_name", "What is your name?", "name", "string")]],
            memory: Memory::None,
        },
    ),
    (
        "Asks the user, in a stream of answers",
        Exchange {
            name: "test_streaming_elicitation",
            rounds: &[&[form("value", "Which value?", "value", "string")]],
            memory: Memory::None,
        },
    ),
    (
        "Asks the language model",
        Exchange {
            name: "test_input_required_result_sampling",
            rounds: &[&[sample("capital_question", "What is the capital of France?")]],
            memory: Memory::None,
        },
    ),
    (
        "Asks for root folders",
        Exchange {
            name: "test_input_required_result_list_roots",
            rounds: &[&[ROOTS]],
            memory: Memory::None,
        },
    ),
    (
        "Has the client carry state",
        Exchange {
            name: "test_input_required_result_request_state",
            rounds: &[&[form("confirm", "Please confirm", "ok", "boolean")]],
            memory: Memory::Round,
        },
    ),
    (
        "Has the client carry state, and sees when it was changed",
        Exchange {
            name: "test_input_required_result_tampered_state",
            rounds: &[&[form("confirm", "Please confirm", "ok", "boolean")]],
            memory: Memory::Round,
        },
    ),
    (
        "Asks several things at once",
        Exchange {
            name: "test_input_required_result_multiple_inputs",
            rounds: &[EVERYTHING],
            memory: Memory::Round,
        },
    ),
    (
        "Asks one thing after the other",
        Exchange {
            name: "test_input_required_result_multi_round",
            rounds: &[
                &[form(
                    "step1",
                    "Step 1: What is your name?",
                    "name",
                    "string",
                )],
                &[form(
                    "step2",
                    "Step 2: What is your favorite color?",
                    "color",
                    "string",
                )],
            ],
            memory: Memory::Round,
        },
    ),
    (
        "Asks what the client can answer",
        Exchange {
            name: "test_input_required_result_capabilities",
            rounds: &[EVERYTHING],
            memory: Memory::None,
        },
    ),
];

/// One question of each kind.
const EVERYTHING: &[Question] = &[
    form("user_name", "What is your name?", "name", "string"),
    sample("greeting", "Generate a greeting"),
    ROOTS,
];

const ROOTS: Question = Question {
    key: "client_roots",
    ask: Ask::Roots,
};

const fn form(
    key: &'static str,
    message: &'static str,
    field: &'static str,
    of: &'static str,
) -> Question {
    let ask = Ask::Form { message, field, of };
    Question { key, ask }
}

const fn sample(key: &'static str, text: &'static str) -> Question {
    let ask = Ask::Sample(text);
    Question { key, ask }
}

pub(super) fn router() -> ToolRouter<Reference> {
    let mut router = ToolRouter::new();
    for (description, exchange) in EXCHANGES {
        let run = |responses: InputResponses, state: RequestState, context| {
            go_on(exchange, responses, state, context)
        };
        router = router.with_route((tool(exchange.name, description), run));
    }
    router
}

fn go_on(
    exchange: &Exchange,
    InputResponses(responses): InputResponses,
    RequestState(state): RequestState,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let client = context.client_capabilities().unwrap_or_default();
    Ok(
        match exchange.go_on(&Returned { responses, state }, &client)? {
            Next::Ask(questions) => questions.into(),
            Next::Done(answers) => {
                let text = |(key, answer)| ContentBlock::text(format!("{key}: {answer}"));
                CallToolResult::success(answers.into_iter().map(text).collect()).into()
            }
        },
    )
}
