//! The server's side of a connection: one request after the other, each answered before the next is read.
//!
//! A client that goes away while its answer is made takes the making with it: the future is dropped, which
//! is how a call ends that nobody waits for. Whoever dawdles, with a head or with reading an answer, is let go of
//! ([`Settings`]); whoever reads slowly is waited for, and nothing is read from what fills the answer meanwhile.

mod answer;
mod body;
mod closing;
mod date;
mod line;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Response, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::BoxError;
use crate::decode::Decoder;
use crate::encode::WrongLength;
use crate::framing::Framing;
use crate::head::{self, BadHead, RequestHead};
pub use body::Body;
pub use closing::{Closing, Connections};
use line::{Line, Patience, Shared};

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// For the head of a request, and for the next request on a connection that is kept open.
    pub head: Duration,
    /// To take anything at all of an answer.
    pub write: Duration,
}

/// Why a connection ended before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection broke.
    #[error("it broke: {0}")]
    Io(#[from] io::Error),
    /// The client does not speak HTTP/1.1, or in a way that is not to be trusted.
    #[error("a bad request: {0}")]
    Request(String),
    /// The client was too slow.
    #[error("it was too slow with {0}")]
    TooSlow(&'static str),
    /// The client closed it while its request was answered.
    #[error("its client did not wait for the answer")]
    Gone,
    /// What makes the answer's body failed, or made it longer or shorter than it said.
    #[error("the answer could not be made: {0}")]
    Body(BoxError),
}

impl From<BadHead> for Error {
    fn from(error: BadHead) -> Self {
        Self::Request(error.to_string())
    }
}

impl From<WrongLength> for Error {
    fn from(error: WrongLength) -> Self {
        Self::Body(error.into())
    }
}

/// What an answer's body can be.
pub trait Content: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin {}

impl<B> Content for B where B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin {}

/// Answers the requests of a connection until one side closes it; `closing` says when we do: after the
/// answer that is under way.
///
/// # Errors
/// See [`Error`]; nothing is left to be done about it.
pub async fn serve<I, S, F, B>(
    io: I,
    settings: Settings,
    closing: Closing,
    answer: S,
) -> Result<(), Error>
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
    S: Fn(Request<Body<I>>) -> F,
    F: Future<Output = Response<B>>,
    B: Content,
{
    let line = Line::shared(io);
    let mut patience = Patience::new();
    loop {
        patience.begin(settings.head);
        let head = match next_head(&line, &closing, &mut patience).await {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(()),
            Err(Refused::Here(error)) => return Err(error),
            Err(Refused::Told(status, error)) => {
                answer::refuse(&line, status, settings.write, &mut patience).await?;
                return Err(error);
            }
        };
        let is_1_0 = head.version == Version::HTTP_10;
        let framing = match Framing::of_request(&head.headers, is_1_0) {
            Ok(framing) => framing,
            Err(error) => {
                let status = StatusCode::BAD_REQUEST;
                answer::refuse(&line, status, settings.write, &mut patience).await?;
                return Err(BadHead::from(error).into());
            }
        };
        let for_answer = answer::Asked {
            method: head.method.clone(),
            is_1_0,
            keeps_alive: head::keeps_alive(head.version, &head.headers),
        };
        let request = request(&line, head, framing);
        // Boxed: of all that a connection keeps this is by far the largest, and not needed between requests.
        let mut answering = Box::pin(answer(request));
        let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Ok(response)),
            Poll::Pending => line.lock().poll_gone(cx).map(Err),
        });
        let response = answered.await?;
        drop(answering);
        patience.begin(settings.write);
        if !answer::write(
            &line,
            response,
            &for_answer,
            &closing,
            settings.write,
            &mut patience,
        )
        .await?
        {
            return line::linger(&line).await;
        }
    }
}

/// A request that is not handed on.
enum Refused {
    /// Nobody is there to be told.
    Here(Error),
    Told(StatusCode, Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

/// Waits for the next request. `None` where none is to come.
async fn next_head<I: AsyncRead + AsyncWrite + Unpin>(
    line: &Shared<I>,
    closing: &Closing,
    patience: &mut Patience,
) -> Result<Option<RequestHead>, Refused> {
    let mut looked_at = 0;
    poll_fn(|cx| {
        let line = &mut *line.lock();
        loop {
            if !line.inbox.bytes.is_empty() && line.inbox.bytes.len() > looked_at {
                match head::take_request(&mut line.inbox.bytes, looked_at) {
                    Ok(Some(head)) => return Poll::Ready(Ok(Some(head))),
                    Ok(None) => looked_at = line.inbox.bytes.len(),
                    Err(bad) => {
                        return Poll::Ready(Err(Refused::Told(bad.status(), bad.into())));
                    }
                }
            }
            match line.inbox.poll_fill(&mut line.io, 0, cx) {
                Poll::Ready(Ok(0)) if looked_at == 0 => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(0)) => {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Err(Error::Io(error).into()));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Error::Io(error).into())),
                Poll::Pending => break,
            }
        }
        if looked_at == 0 && closing.poll_closing(cx).is_ready() {
            return Poll::Ready(Ok(None));
        }
        match patience.poll_over(cx) {
            Poll::Ready(()) if looked_at == 0 => Poll::Ready(Ok(None)),
            Poll::Ready(()) => {
                let slow = Error::TooSlow("the head of a request");
                Poll::Ready(Err(Refused::Told(StatusCode::REQUEST_TIMEOUT, slow)))
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn request<I>(line: &Shared<I>, head: RequestHead, framing: Framing) -> Request<Body<I>> {
    let expects = head.version == Version::HTTP_11
        && head
            .headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let body = Body::begin(Arc::clone(line), Decoder::from(framing), expects);
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers;
    request
}
