//! What stands first behind TLS. Messages of the MCP data path are nearly all that comes: they get the same
//! checks as everything else ([`guard`]), but neither routes nor layers, which would cost them more than the
//! checks do. Everything else goes by the router.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request;
use tower::{Service, ServiceExt as _};

use super::{Api, guard};
use crate::mcp::DataPath;

/// All that the DTMA answers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Front(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: Api,
    data_path: Arc<DataPath>,
    router: Router,
}

impl Front {
    pub(super) fn new(api: Api, data_path: Arc<DataPath>, router: Router) -> Self {
        Self(Arc::new(Inner {
            api,
            data_path,
            router,
        }))
    }
}

impl Service<Request<Body>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(instance) = DataPath::instance_of(request.uri().path()) else {
            return self.0.router.clone().oneshot(request).boxed();
        };
        let inner = Arc::clone(&self.0);
        async move {
            Ok(match guard::allow(&inner.api, &request) {
                Ok(()) => inner.data_path.answer(instance, request).await,
                Err(refusal) => refusal.into_response(),
            })
        }
        .boxed()
    }
}
