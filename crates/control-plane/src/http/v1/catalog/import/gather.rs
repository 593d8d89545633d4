//! Reads what was named. Addresses are called through `agentopia-remote` only, which refuses what the
//! operator did not allow, follows no redirects and limits what it reads.

use std::time::Duration;

use agentopia_api::catalog_import::{CatalogImportRequest, ImportForm};
use agentopia_catalog_import::document::{self, Document};
use agentopia_catalog_import::source::{Source, registry_address};
use agentopia_catalog_import::{Form, Found, MAX_DOCUMENT, Options, Problem, image, package};
use agentopia_domain::catalog::Transport;
use agentopia_remote::{RemoteError, RemoteUrl};
use serde_json::json;
use url::Url;

use crate::http::extract::Call;
use crate::problem::{Answer, Refusal, kind};

/// How long one answer of another server may take.
const PATIENCE: Duration = Duration::from_secs(20);
const USUAL_PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 100;

/// What was read.
pub(super) struct Gathered {
    pub(super) found: Vec<Found>,
    pub(super) next_cursor: Option<String>,
    /// Whether it is a part of a registry: what can't be imported of it is no reason to stop.
    pub(super) is_page: bool,
}

/// See the module's header.
pub(super) async fn gather(call: &Call, request: &CatalogImportRequest) -> Answer<Gathered> {
    let options = Options {
        form: request.form.map(form),
        transport: request.transport.clone(),
    };
    let source = match (&request.source, &request.document) {
        (None, Some(text)) => {
            only_of_registries(request)?;
            return whole(document::read(text, &options));
        }
        (Some(source), None) => Source::parse(source).map_err(in_source)?,
        _ => {
            return Err(Refusal::field(
                "source",
                "give `source` or `document`, one of them",
            ));
        }
    };
    if !matches!(source, Source::Registry(_)) {
        only_of_registries(request)?;
    }
    match source {
        Source::Registry(base) => registry(call, request, &base, &options).await,
        Source::Document(url) => {
            let text = fetch(call, &url).await?;
            whole(document::read(&text, &options))
        }
        Source::Server(url) => whole(document::read(&remote(&url, &options), &options)),
        Source::Package(registry, text) => one(package::draft(registry, &text, &options), text),
        Source::Image(text) => one(image::draft(&text, &options), text),
    }
}

const fn form(form: ImportForm) -> Form {
    match form {
        ImportForm::Oci => Form::Oci,
        ImportForm::Npm => Form::Npm,
        ImportForm::Pypi => Form::Pypi,
        ImportForm::Remote => Form::Remote,
    }
}

fn only_of_registries(request: &CatalogImportRequest) -> Answer<()> {
    let given = [
        ("search", request.search.is_some()),
        ("server", request.server.is_some()),
        ("version", request.version.is_some()),
        ("cursor", request.cursor.is_some()),
        ("limit", request.limit.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((field, _)) => Err(Refusal::field(
            *field,
            "is for registries only: `source` has to be `registry:URL`",
        )),
    }
}

/// An address alone, as a client's file would have it.
fn remote(url: &Url, options: &Options) -> String {
    let name = url.host_str().unwrap_or("server").to_owned();
    let kind = match options.transport {
        Some(Transport::Sse { .. }) => "sse",
        _ => "streamable-http",
    };
    json!({"mcpServers": {name: {"url": url.as_str(), "type": kind}}}).to_string()
}

fn one(draft: Result<agentopia_catalog_import::Draft, Problem>, name: String) -> Answer<Gathered> {
    let outcome = Ok(draft.map_err(in_source)?);
    Ok(Gathered {
        found: vec![Found { name, outcome }],
        next_cursor: None,
        is_page: false,
    })
}

fn whole(document: Result<Document, Problem>) -> Answer<Gathered> {
    let document =
        document.map_err(|problem| Refusal::new(kind::NOT_IMPORTABLE, problem.to_string()))?;
    Ok(Gathered {
        found: document.found,
        next_cursor: None,
        is_page: false,
    })
}

async fn registry(
    call: &Call,
    request: &CatalogImportRequest,
    base: &Url,
    options: &Options,
) -> Answer<Gathered> {
    let limit = request.limit.unwrap_or(USUAL_PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Refusal::field("limit", format!("use 1 to {LARGEST_PAGE}")));
    }
    let version = request.version.as_deref().unwrap_or("latest");
    if let Some(name) = &request.server {
        let url = registry_address(base, &[name, "versions", version], &[]);
        let text = fetch(call, &url.ok_or_else(no_base)?).await?;
        return whole(document::read(&text, options));
    }
    let limit = limit.to_string();
    let mut query = vec![("version", version), ("limit", limit.as_str())];
    query.extend(request.search.as_deref().map(|text| ("search", text)));
    query.extend(request.cursor.as_deref().map(|text| ("cursor", text)));
    let url = registry_address(base, &[], &query).ok_or_else(no_base)?;
    let text = fetch(call, &url).await?;
    let document = document::read(&text, options).map_err(in_source)?;
    // A registry that gives the cursor that it got would keep everybody here for ever.
    let next_cursor = document
        .next_cursor
        .filter(|next| Some(next) != request.cursor.as_ref());
    Ok(Gathered {
        found: document.found,
        next_cursor,
        is_page: true,
    })
}

fn no_base() -> Refusal {
    Refusal::field("source", "a registry's address is https://host/path")
}

fn in_source(problem: Problem) -> Refusal {
    Refusal::field("source", problem.to_string())
}

async fn fetch(call: &Call, url: &Url) -> Answer<String> {
    let url =
        RemoteUrl::new(url.clone()).map_err(|error| Refusal::field("source", error.to_string()))?;
    let got = call
        .state
        .remote
        .get_bytes(&url, MAX_DOCUMENT, PATIENCE)
        .await;
    let body = got.map_err(|error| {
        let said = match &error {
            RemoteError::Status(status) if *status == http::StatusCode::NOT_FOUND => {
                "there is nothing of that name (404)".to_owned()
            }
            other => other.to_string(),
        };
        Refusal::field("source", said)
    })?;
    String::from_utf8(body.into_body().into())
        .map_err(|_| Refusal::field("source", "what is there is no UTF-8 text"))
}
