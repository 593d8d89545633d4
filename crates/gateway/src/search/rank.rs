//! Which tools suit a query best: whose name it is or has in it first, then by BM25 over name, title,
//! description and the names and descriptions of arguments.
//!
//! An agent has hundreds of tools, not millions: the index is built for each query, from lists that are
//! kept, so there is nothing that could be stale.

use std::cmp::Ordering;

use agentopia_mcp::{Json, ListItem};
use bm25::{Document, Language, SearchEngineBuilder};

/// How often a name counts: what a tool is called says more than what its description mentions.
const NAME_WEIGHT: usize = 3;

/// A tool as an agent sees it.
#[derive(Debug, Clone)]
pub(super) struct Tool<'a> {
    /// The name under which it does.
    pub(super) name: &'a str,
    pub(super) item: &'a ListItem,
}

/// The places of the tools that suit, the best one first.
pub(super) fn rank(tools: &[Tool<'_>], query: &str) -> Vec<usize> {
    let documents = tools.iter().enumerate();
    let documents = documents.map(|(place, tool)| Document::new(place, text_of(tool)));
    let engine = SearchEngineBuilder::<usize>::with_documents(Language::English, documents).build();
    let mut scores = vec![0.0_f32; tools.len()];
    for found in engine.search(&spaced(query), None) {
        scores[found.document.id] = found.score;
    }
    let named: Vec<bool> = tools.iter().map(|tool| names(query, tool)).collect();
    let suits = |place: &usize| named[*place] || scores[*place] > 0.0;
    let mut places: Vec<usize> = (0..tools.len()).filter(suits).collect();
    places.sort_by(|a, b| {
        let by_name = named[*b].cmp(&named[*a]);
        let by_score = || {
            scores[*b]
                .partial_cmp(&scores[*a])
                .unwrap_or(Ordering::Equal)
        };
        by_name
            .then_with(by_score)
            .then_with(|| tools[*a].name.cmp(tools[*b].name))
    });
    places
}

/// Whether a query is or has in it the very name of a tool, shown or its server's own.
fn names(query: &str, tool: &Tool<'_>) -> bool {
    let is_edge = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let mut words = query.split(is_edge);
    words.any(|word| {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        is(tool.name) || is(tool.item.key())
    })
}

fn text_of(tool: &Tool<'_>) -> String {
    let mut text = String::new();
    let mut add = |part: &str| {
        text.push_str(&spaced(part));
        text.push('\n');
    };
    for _ in 0..NAME_WEIGHT {
        add(tool.name);
    }
    for key in ["title", "description"] {
        if let Some(said) = tool.item.get(key)
            && let Some(said) = said.text()
        {
            add(&said);
        }
    }
    let schema = tool.item.get("inputSchema");
    let properties = schema.as_ref().and_then(|it| it.get("properties"));
    for argument in properties.iter().flat_map(Json::members) {
        add(&argument.key);
        if let Some(description) = argument.value.get("description")
            && let Some(said) = description.text()
        {
            add(&said);
        }
    }
    text
}

/// `getUser_by-id` is four words.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for c in text.chars() {
        let begins = c.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
        if begins {
            out.push(' ');
        }
        out.push(if matches!(c, '_' | '-' | '.' | '/' | ':') {
            ' '
        } else {
            c
        });
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use agentopia_mcp::ListKind;
    use serde_json::{Value, json};

    use super::*;

    fn item(value: &Value) -> ListItem {
        ListItem::new(ListKind::Tools, &Json::from(value)).unwrap()
    }

    fn ranked(query: &str) -> Vec<String> {
        let items = [
            json!({"name": "get_current_time", "description": "Tells the time in a zone",
                "inputSchema": {"properties": {"timezone": {"description": "IANA name"}}}}),
            json!({"name": "convert_time", "description": "Converts times between zones"}),
            json!({"name": "sendEmail", "description": "Writes to a person",
                "inputSchema": {"properties": {"recipient": {}, "body": {"description": "What is written"}}}}),
            json!({"name": "mail", "description": "Lists messages. Not the time of day."}),
            json!({"name": "delete_file", "title": "Remove", "description": "Takes a file away for good"}),
        ];
        let items: Vec<_> = items.iter().map(item).collect();
        let tools: Vec<_> = items
            .iter()
            .map(|item| Tool {
                name: item.key(),
                item,
            })
            .collect();
        let places = rank(&tools, query);
        places
            .into_iter()
            .map(|place| tools[place].name.to_owned())
            .collect()
    }

    #[test]
    fn an_exact_name_comes_first_whatever_else_suits() {
        assert_eq!(ranked("mail")[0], "mail");
        assert_eq!(
            ranked("use convert_time for the current time")[0],
            "convert_time"
        );
        assert_eq!(ranked("SENDEMAIL")[0], "sendEmail");
    }

    #[test]
    fn words_of_names_descriptions_and_arguments_are_found() {
        assert_eq!(ranked("what time is it currently")[0], "get_current_time");
        assert_eq!(ranked("email somebody")[0], "sendEmail");
        assert_eq!(ranked("recipients"), ["sendEmail"]);
        assert_eq!(ranked("removing files"), ["delete_file"]);
        assert_eq!(ranked("quantum chromodynamics"), [""; 0]);
    }

    #[test]
    fn the_order_is_the_same_each_time() {
        let first = ranked("time zone file message person");
        assert!(first.len() > 3);
        for _ in 0..20 {
            assert_eq!(ranked("time zone file message person"), first);
        }
    }
}
