//! A server that is given by its address.

use std::collections::BTreeMap;

use agentopia_domain::catalog::{Packaging, Transport, is_env_name};
use agentopia_domain::remote::{RemoteTransport, check_header};
use url::Url;

use crate::build::{Builder, version};
use crate::looks::{self, Looks, looks};
use crate::{Draft, Problem, words};

/// The entry of `url`; `kind` is what the document calls the transport.
pub(crate) fn draft(
    mut builder: Builder,
    url: &str,
    kind: Option<&str>,
    headers: &[(String, String)],
) -> Result<Draft, Problem> {
    let url = address(&mut builder, url)?;
    let mut kept = BTreeMap::new();
    for (name, value) in headers {
        header(&mut builder, &mut kept, name, value)?;
    }
    let packaging = Packaging::Remote {
        url,
        headers: kept,
        transport: transport(kind)?,
    };
    builder.finish(packaging, Transport::default(), version("1"))
}

pub(crate) fn transport(kind: Option<&str>) -> Result<RemoteTransport, Problem> {
    match kind {
        None
        | Some("http" | "https" | "streamable-http" | "streamable_http" | "streamableHttp") => {
            Ok(RemoteTransport::StreamableHttp)
        }
        Some("sse") => Ok(RemoteTransport::Sse),
        Some(_) => Err(Problem::new(
            "its transport is unknown: streamable-http and sse are known for addresses",
        )),
    }
}

/// The address, or none where whoever deploys the tool has to give it.
pub(crate) fn address(builder: &mut Builder, text: &str) -> Result<Option<String>, Problem> {
    let secret = || {
        Problem::new(
            "its address holds what looks like a secret, and addresses are shown to everybody: take it \
             out, and give it as a header if the server takes one",
        )
    };
    let looks_like_one = || {
        looks::reference(text).is_some_and(|name| looks::names_secret(&name))
            || matches!(looks("", text), Looks::Secret)
    };
    if looks_like_one() {
        return Err(secret());
    }
    if looks::is_place_holder(text) || text.contains(['{', '}']) {
        builder.note(
            "its address has to be given when it is deployed (`--url`): what was there is a place holder",
        );
        return Ok(None);
    }
    let url = Url::parse(text)
        .map_err(|_| Problem::new("its address is none: write https://host/path"))?;
    if !url.username().is_empty() || url.password().is_some() || looks::has_secret_query(&url) {
        return Err(secret());
    }
    Ok(Some(text.to_owned()))
}

fn header(
    builder: &mut Builder,
    kept: &mut BTreeMap<String, String>,
    name: &str,
    value: &str,
) -> Result<(), Problem> {
    if let Err(problem) = check_header(name, "x", &[]) {
        builder.note(format!("a header was left out: {problem}"));
        return Ok(());
    }
    if matches!(looks(name, value), Looks::Plain) {
        kept.insert(name.to_owned(), value.to_owned());
        return Ok(());
    }
    // `Bearer`, `Basic` and the like stay in front.
    let scheme = value
        .split_once(' ')
        .map(|(scheme, _)| scheme)
        .filter(|it| it.bytes().all(|b| b.is_ascii_alphabetic()) && it.len() <= 10);
    let referred = looks::reference(value).map(|it| words::variable(&it));
    let secret = match (referred, name.eq_ignore_ascii_case("authorization")) {
        (Some(name), _) if is_env_name(&name) => name,
        (_, true) => "TOKEN".to_owned(),
        _ => words::variable(name),
    };
    let text = format!("${{secret:{secret}}}");
    let text = scheme.map_or(text.clone(), |scheme| format!("{scheme} {text}"));
    builder.secret(&secret, &format!("Sent in the header {name}."), true)?;
    if !looks::is_place_holder(value) {
        builder.note(format!(
            "the value of the header {name} was not kept: put it into the vault as a secret"
        ));
    }
    kept.insert(name.to_owned(), text);
    Ok(())
}
