//! `mcpServers` as clients of MCP have it in their files and as READMEs show it: one entry a server.
//! [`command`] tells programs apart, [`docker`] reads `docker run`, [`remote`] addresses.

mod command;
pub(crate) mod docker;
pub(crate) mod remote;

use serde_json::{Map, Value};

use crate::build::Builder;
use crate::{Draft, Found, Options, Problem, words};

/// The most servers of one document.
const MAX_SERVERS: usize = 200;

/// One entry a server; what can't be one says why.
pub(crate) fn read(servers: &Map<String, Value>, options: &Options) -> Result<Vec<Found>, Problem> {
    if servers.is_empty() {
        return Err(Problem::new("there is no server in it"));
    }
    if servers.len() > MAX_SERVERS {
        return Err(Problem::new(format!(
            "there are more than {MAX_SERVERS} servers in it; split it"
        )));
    }
    let found = servers.iter().map(|(name, server)| Found {
        name: words::line(name, 200),
        outcome: one(name, server, options),
    });
    Ok(found.collect())
}

fn one(name: &str, server: &Value, options: &Options) -> Result<Draft, Problem> {
    let fields = server
        .as_object()
        .ok_or_else(|| Problem::new("write an object with `command` or `url`"))?;
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let builder = Builder {
        slug: words::slug(words::last_part(name))?,
        name: name.to_owned(),
        description: text("description").unwrap_or_default().to_owned(),
        ..Builder::default()
    };
    let url = ["url", "serverUrl", "httpUrl"]
        .iter()
        .find_map(|key| text(key));
    match (text("command"), url) {
        (Some(command), None) => {
            let args = strings(fields, "args")?;
            let env = pairs(fields, "env")?;
            command::draft(builder, command, &args, &env, options)
        }
        (None, Some(url)) => {
            let headers = pairs(fields, "headers")?;
            let kind = text("type").or_else(|| text("transport"));
            remote::draft(builder, url, kind, &headers)
        }
        (Some(_), Some(_)) => Err(Problem::new(
            "it has both `command` and `url`: leave one of them out",
        )),
        (None, None) => Err(Problem::new("it has neither `command` nor `url`")),
    }
}

fn strings(fields: &Map<String, Value>, key: &str) -> Result<Vec<String>, Problem> {
    let wrong = || Problem::new(format!("`{key}` has to be a list of texts"));
    match fields.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn pairs(fields: &Map<String, Value>, key: &str) -> Result<Vec<(String, String)>, Problem> {
    let wrong = || Problem::new(format!("`{key}` has to be an object with texts"));
    match fields.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(pairs)) => pairs
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => return Err(wrong()),
                };
                Ok((name.clone(), value))
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
