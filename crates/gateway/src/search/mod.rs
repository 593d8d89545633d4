//! Search mode (AGT-11): in place of all its tools, which may fill a model's context before anything was
//! said, an agent sees two: `find_tool` and `call_tool`. `tools` is how they look, `rank` how tools are
//! found. A call of `call_tool` is unwrapped and then goes the way of every other call, so that limits,
//! allow-lists, progress, questions back and the audit see the tool that is meant.
//!
//! An agent that knows a tool's name may call it directly as well.

mod rank;
mod tools;

use std::sync::Arc;

use agentopia_mcp::{
    Envelope, Era, Field, Id, Json, Limits, ListKind, ListResult, ObjectWriter, Splice, jsonrpc,
    method,
};
use bytes::Bytes;

use crate::aggregate::{about, failures::with_failures, list};
use crate::clients::Client;
use crate::core::Core;
use crate::routes::AgentRoute;
use rank::{Tool, rank};

pub(crate) use tools::INSTRUCTIONS;

/// How long clients may keep the list of two, in milliseconds; they are told when that ends.
const FRESH_MS: u64 = 60_000;

/// What becomes of a call.
pub(crate) enum Taken {
    /// It is none of search mode's.
    No,
    /// It is answered with this message.
    Answer(Bytes),
    /// This is the call that was inside.
    Call(Box<Envelope>),
}

/// The answer to `tools/list`.
pub(crate) fn list(era: Era, agent: &AgentRoute, id: &Id) -> Bytes {
    let kind = ListKind::Tools;
    let mut result = match era {
        Era::Session => ListResult::session(kind),
        Era::Modern => ListResult::modern(kind, &about::info(Some(agent)), FRESH_MS),
    };
    result.push(&Json::from(&tools::find()));
    result.push(&Json::from(&tools::call()));
    jsonrpc::response(id, &result.finish(None)).into()
}

/// Takes the calls of the two tools.
pub(crate) async fn take(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: &Arc<AgentRoute>,
    message: &Envelope,
    id: &Id,
) -> Taken {
    if !agent.search || message.method() != method::TOOLS_CALL {
        return Taken::No;
    }
    let name = message.text(Field::ParamsName).unwrap_or_default();
    let outcome = match &*name {
        tools::FIND => match question(message) {
            Ok(question) => return Taken::Answer(find(core, client, agent, &question, id).await),
            Err(sentence) => Err(sentence),
        },
        tools::CALL => unwrapped(message),
        _ => return Taken::No,
    };
    match outcome {
        Ok(call) => Taken::Call(Box::new(call)),
        // In the result and not as a protocol error: models read results, and can do it better then.
        Err(sentence) => {
            let mut result = begun(client, agent);
            result.raw("content", text(sentence)).raw("isError", true);
            Taken::Answer(jsonrpc::response(id, &result.finish()).into())
        }
    }
}

struct Question {
    query: String,
    limit: usize,
}

fn question(message: &Envelope) -> Result<Question, &'static str> {
    let arguments = message.raw(Field::ParamsArguments);
    let get = |key| arguments.as_ref().and_then(|it| it.get(key));
    let query = get("query");
    let query = query.as_ref().and_then(Json::text);
    let query = query.ok_or("say as query what the tool is to do, or its name")?;
    let limit = match get("limit") {
        Some(limit) => whole(&limit)
            .filter(|n| *n > 0)
            .ok_or("limit is 1 or more")?,
        None => tools::LIMIT,
    };
    Ok(Question {
        query: query.into_owned(),
        limit: usize::try_from(limit.min(tools::MOST)).unwrap_or(usize::MAX),
    })
}

fn whole(number: &Json<'_>) -> Option<u64> {
    std::str::from_utf8(number.as_bytes()).ok()?.parse().ok()
}

async fn find(
    core: &Arc<Core>,
    client: &Arc<Client>,
    agent: &Arc<AgentRoute>,
    question: &Question,
    id: &Id,
) -> Bytes {
    let (found, parts) = list::tools(core, client, agent, |shown| {
        let tools: Vec<_> = shown
            .iter()
            .map(|(name, item)| Tool { name, item })
            .collect();
        let places = match question.query.trim().is_empty() {
            true => (0..tools.len()).collect(),
            false => rank(&tools, &question.query),
        };
        let (now, more) = places.split_at(places.len().min(question.limit));
        let mut array = vec![b'['];
        for (count, place) in now.iter().enumerate() {
            if count > 0 {
                array.push(b',');
            }
            let tool = &tools[*place];
            array.extend_from_slice(tool.item.renamed(tool.name).as_bytes());
        }
        array.push(b']');
        (array, more.len() as u64)
    })
    .await;
    let (array, more) = found;
    let mut structured = ObjectWriter::new();
    // Made of what was read as JSON.
    let array = Json::parse(&array).unwrap_or_else(|_| Json::from(&serde_json::json!([])));
    structured.raw("tools", array).raw("more", more);
    let structured = structured.finish();
    let mut result = begun(client, agent);
    result
        .raw(
            "content",
            text(&String::from_utf8_lossy(structured.as_bytes())),
        )
        .raw("structuredContent", &structured);
    with_failures(jsonrpc::response(id, &result.finish()), &parts)
}

/// The call inside of a call of `call_tool`; all else of the message stays.
fn unwrapped(message: &Envelope) -> Result<Envelope, &'static str> {
    let arguments = message.raw(Field::ParamsArguments);
    let get = |key| arguments.as_ref().and_then(|it| it.get(key));
    let name = get("name");
    let name = name.as_ref().and_then(Json::text);
    let name = name.ok_or("say as name which tool to call; find_tool knows their names")?;
    if matches!(&*name, tools::FIND | tools::CALL) {
        return Err("call that tool directly, not with call_tool");
    }
    let inner = get("arguments");
    let inner = match inner {
        Some(inner) if inner.is_object() => inner,
        Some(_) => return Err("arguments is an object, as the tool's inputSchema says"),
        None => crate::clients::empty_object(),
    };
    let call = Splice::new(message)
        .set(Field::ParamsName, &*name)
        .set(Field::ParamsArguments, &inner);
    let limits = Limits {
        max_bytes: usize::MAX,
        ..Limits::default()
    };
    Envelope::scan(Bytes::from(call.finish()), &limits).map_err(|_| "that is no call")
}

/// A result as the client's era begins it.
fn begun(client: &Client, agent: &AgentRoute) -> ObjectWriter {
    match client.hello.era {
        Era::Session => ObjectWriter::new(),
        Era::Modern => jsonrpc::modern_result("complete", &about::info(Some(agent))),
    }
}

fn text(said: &str) -> Json<'static> {
    Json::from(&serde_json::json!([{ "type": "text", "text": said }]))
}
