//! Arguments and variables of a `server.json`: what is fixed, what people set, what is secret.

use std::collections::BTreeMap;

use agentopia_domain::catalog::ConfigTarget;
use serde_json::Value;

use super::{Argument, Input, KeyValue};
use crate::build::{Builder, Setting};
use crate::looks::{self, Looks, looks};
use crate::{Problem, words};

/// A piece of a text with `{variables}`.
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str, &'a Input),
}

/// Takes a text apart. What is in braces and no variable stays as it is.
fn pieces<'a>(text: &'a str, variables: &'a BTreeMap<String, Input>) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(open) = text[at..].find('{').map(|found| at + found) {
        let close = text[open..].find('}').map(|found| open + found);
        let Some(close) = close else { break };
        if let Some((name, input)) = variables.get_key_value(&text[open + 1..close]) {
            if from < open {
                pieces.push(Piece::Text(&text[from..open]));
            }
            pieces.push(Piece::Variable(name, input));
            from = close + 1;
            at = from;
        } else {
            at = open + 1;
        }
    }
    if from < text.len() || pieces.is_empty() {
        pieces.push(Piece::Text(&text[from..]));
    }
    pieces
}

/// A default or a fixed value as text.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `text` with the values that its variables have without anybody's doing.
pub(super) fn filled(text: &str, variables: &BTreeMap<String, Input>) -> String {
    let filled = pieces(text, variables)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Variable(name, input) => {
                own_value(input).unwrap_or_else(|| format!("{{{name}}}"))
            }
        });
    filled.collect()
}

/// The value that an input has if nobody gives one; none of a secret.
pub(super) fn own_value(input: &Input) -> Option<String> {
    if input.is_secret {
        return None;
    }
    let fixed = input
        .value
        .as_ref()
        .map(|text| filled(text, &input.variables));
    fixed.or_else(|| input.default.as_ref().map(as_text))
}

/// A setting of what people give.
fn setting(builder: &mut Builder, name: &str, input: &Input, list: bool, typed: bool) -> String {
    let kind = match input.format.as_deref() {
        _ if list => "array",
        Some("number") if typed => "number",
        Some("boolean") if typed => "boolean",
        _ => "string",
    };
    let mut choices = input.choices.clone();
    if kind == "string" && input.format.as_deref() == Some("boolean") && choices.is_empty() {
        choices = vec!["true".to_owned(), "false".to_owned()];
    }
    let default = input.default.as_ref().map(as_text).and_then(|text| {
        let value = match kind {
            "array" => Value::from(vec![text]),
            "number" | "boolean" => serde_json::from_str::<Value>(&text)
                .ok()
                .filter(|value| value.is_number() == (kind == "number") && !value.is_string())?,
            _ => Value::from(text),
        };
        Some(value)
    });
    let mut description = input.description.clone().unwrap_or_default();
    if input.format.as_deref() == Some("filepath") {
        description.push_str(" (a path inside the tool's container)");
    }
    builder.setting(Setting {
        name: name.to_owned(),
        description,
        kind,
        choices,
        required: input.is_required && default.is_none(),
        default,
    })
}

/// A text with variables, as ours: each variable a setting.
fn template(builder: &mut Builder, text: &str, input: &Input) -> Template {
    let pieces = pieces(text, &input.variables);
    let mut whole = String::new();
    let mut first = None;
    let count = pieces.len();
    for piece in pieces {
        match piece {
            Piece::Text(text) => whole.push_str(text),
            Piece::Variable(
                _,
                Input {
                    value: Some(value),
                    variables,
                    ..
                },
            ) => {
                whole.push_str(&filled(value, variables));
            }
            Piece::Variable(name, variable) => {
                let required = variable.is_required || input.is_required;
                let variable = Input {
                    is_required: required,
                    ..variable.clone()
                };
                let property = setting(builder, name, &variable, false, false);
                whole.push_str(&format!("${{config:{property}}}"));
                first.get_or_insert(property);
            }
        }
    }
    match first {
        None => Template::Fixed(whole),
        Some(property) if count == 1 => Template::Value(property),
        Some(property) => Template::Text(property, whole),
    }
}

enum Template {
    Fixed(String),
    Value(String),
    Text(String, String),
}

/// Whether nobody may see the value.
pub(super) fn is_secret(name: &str, input: &Input) -> bool {
    let open = input.default.is_none() && input.value.is_none() && input.choices.is_empty();
    let given = input
        .value
        .clone()
        .or_else(|| input.default.as_ref().map(as_text));
    input.is_secret
        || (open
            && looks::names_secret(name)
            && !matches!(input.format.as_deref(), Some("number" | "boolean")))
        || given
            .is_some_and(|value| !value.is_empty() && matches!(looks("", &value), Looks::Secret))
        || input.value.as_ref().is_some_and(|text| {
            pieces(text, &input.variables)
                .iter()
                .any(|piece| matches!(piece, Piece::Variable(_, variable) if variable.is_secret))
        })
}

/// An environment variable.
pub(super) fn variable(builder: &mut Builder, variable: &KeyValue) -> Result<(), Problem> {
    let KeyValue { name, input } = variable;
    if !agentopia_domain::catalog::is_env_name(name) {
        return Err(Problem::new(
            "a variable has a name that no environment takes: use letters, digits and `_`",
        ));
    }
    if is_secret(name, input) {
        let description = input.description.clone().unwrap_or_default();
        let whole = input
            .value
            .as_deref()
            .filter(|_| !input.variables.is_empty());
        let description = match whole {
            Some(text) => format!("{description} (the whole of `{text}`, with your values)"),
            None => description,
        };
        return builder.secret(name, &description, input.is_required);
    }
    let Some(text) = &input.value else {
        let property = setting(builder, name, input, false, true);
        let name = name.clone();
        builder.bind(property, ConfigTarget::Env { name });
        return Ok(());
    };
    let name = name.clone();
    match template(builder, text, input) {
        Template::Fixed(text) => {
            builder.env.insert(name, text);
        }
        Template::Value(property) => builder.bind(property, ConfigTarget::Env { name }),
        Template::Text(property, text) => {
            builder.bind(property, ConfigTarget::EnvText { name, text })
        }
    }
    Ok(())
}

/// An argument of the server itself.
pub(super) fn argument(builder: &mut Builder, argument: &Argument) -> Result<(), Problem> {
    let input = &argument.input;
    let flag = match argument.kind.as_str() {
        "positional" => None,
        "named" => Some(
            argument
                .name
                .clone()
                .filter(|name| !name.is_empty())
                .ok_or_else(|| Problem::new("a named argument has no name"))?,
        ),
        _ => return Err(Problem::new("an argument is neither positional nor named")),
    };
    let name = argument
        .value_hint
        .as_deref()
        .or(flag.as_deref())
        .unwrap_or("argument");
    if is_secret(name, input) {
        return Err(Problem::new(format!(
            "its argument {} is a secret, and arguments can be read by everybody on the machine: use the \
             environment variable that the server reads for it",
            words::line(name, 60)
        )));
    }
    if let Some(text) = &input.value {
        match template(builder, text, input) {
            Template::Fixed(text) => {
                if let Some(flag) = &flag {
                    builder.fixed_arg(flag);
                }
                builder.fixed_arg(&text);
            }
            Template::Value(property) => builder.bind(property, ConfigTarget::Arg { flag }),
            Template::Text(property, text) => {
                builder.bind(property, ConfigTarget::ArgText { flag, text });
            }
        }
        return Ok(());
    }
    let bare = Input {
        description: None,
        ..input.clone()
    } == Input::default();
    match &flag {
        // A flag that nothing can be said of is meant as it stands.
        Some(flag) if bare && argument.value_hint.is_none() => builder.fixed_arg(flag),
        _ => {
            let property = setting(builder, name, input, argument.is_repeated, false);
            builder.bind(property, ConfigTarget::Arg { flag });
        }
    }
    Ok(())
}
