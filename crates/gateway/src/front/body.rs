//! A request's body, whichever version of HTTP it came by.

use std::pin::Pin;
use std::task::{Context, Poll};

use agentopia_http1::{BoxError, server};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::net::TcpStream;

/// See the module's header.
#[derive(Debug)]
pub enum RequestBody {
    /// By HTTP/1.1.
    One(server::Body<TcpStream>),
    /// By HTTP/2.
    Two(Incoming),
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::One(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Two(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::One(body) => body.is_end_stream(),
            Self::Two(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::One(body) => body.size_hint(),
            Self::Two(body) => body.size_hint(),
        }
    }
}
