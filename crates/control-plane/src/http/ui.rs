//! What is served where no API answers: the web application. Until its files are embedded in the
//! program, a page that says how to build them.

use axum::extract::Request;
use axum::response::{Html, IntoResponse as _, Response};
use http::{Method, StatusCode};

use crate::problem::{Refusal, kind};

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>Agentopia</title></head>
<body>
<h1>Agentopia is running</h1>
<p>The web application is not part of this build. To have it, run <code>npm ci &amp;&amp; npm run
build</code> in the folder <code>ui</code> and build the server again.</p>
<p>Everything works without it: see <code>agentopia --help</code>, or the API's
<a href=\"/api/v1/openapi.json\">OpenAPI document</a>.</p>
</body>
</html>
";

/// Addresses under these prefixes are programs' business: they get problem documents.
const FOR_PROGRAMS: [&str; 6] = [
    "/api/",
    "/internal/",
    "/oauth/",
    "/.well-known/",
    "/agents/",
    "/metrics",
];

/// The handler of every address that nobody else has.
pub(super) async fn fallback(request: Request) -> Response {
    let path = request.uri().path();
    let for_programs = FOR_PROGRAMS.iter().any(|prefix| path.starts_with(prefix));
    let page = matches!(*request.method(), Method::GET | Method::HEAD);
    if for_programs || !page {
        return Refusal::new(
            kind::UNKNOWN_ROUTE,
            "there is no such address; see /api/v1/openapi.json for all there are",
        )
        .into_response();
    }
    (StatusCode::OK, Html(PAGE)).into_response()
}
