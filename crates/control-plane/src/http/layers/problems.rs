//! Gives refusals the request's id and writes their sources to the log, once; turns a panic into
//! a refusal.

use std::any::Any;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::extract::RequestMeta;
use crate::problem::Refusal;

/// The middleware.
pub async fn problems(request: Request, next: Next) -> Response {
    let id = request
        .extensions()
        .get::<RequestMeta>()
        .map(|meta| meta.request_id.clone());
    let response = next.run(request).await;
    let Some(refusal) = response.extensions().get::<Refusal>().cloned() else {
        return response;
    };
    match refusal.source() {
        Some(source) if refusal.kind().status.is_server_error() => {
            tracing::error!(
                code = refusal.kind().code,
                error = format!("{source:#}"),
                "refused"
            );
        }
        Some(source) => {
            tracing::info!(
                code = refusal.kind().code,
                error = format!("{source:#}"),
                "refused"
            );
        }
        None if refusal.kind().status.is_server_error() => {
            tracing::warn!(
                code = refusal.kind().code,
                detail = refusal.detail(),
                "refused"
            );
        }
        None => tracing::info!(code = refusal.kind().code, "refused"),
    }
    let mut rendered = refusal.render(id);
    // What other layers and the handler said besides, for example `Allow` or `Set-Cookie`.
    for (name, value) in response.headers() {
        if !rendered.headers().contains_key(name) && name != http::header::CONTENT_LENGTH {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
}

/// What becomes of a handler that panicked.
#[must_use]
pub fn from_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let said = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()))
        .unwrap_or_else(|| "a handler panicked".to_owned());
    Refusal::internal(anyhow::anyhow!("panic: {said}")).into_response()
}
