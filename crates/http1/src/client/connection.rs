//! One connection: a request out, the head of its answer in.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http::{StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Content;
use super::outgoing::Outgoing;
use crate::decode::Decoder;
use crate::framing::Framing;
use crate::head::{self, AnswerHead};
use crate::inbox::Inbox;

/// A connection. It moves when it is polled, and at no other time.
#[derive(Debug)]
pub(crate) struct Connection<I> {
    pub(super) io: I,
    pub(super) inbox: Inbox,
}

/// What a request brought.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: AnswerHead,
    pub(super) decoder: Decoder,
    /// Whether the connection can take another request once the body is read.
    pub(super) keeps_alive: bool,
}

/// A request without an answer: whether the server may have it.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing of it was written.
    Before(io::Error),
    After(io::Error),
}

impl<I: AsyncRead + AsyncWrite + Unpin> Connection<I> {
    pub(super) fn new(io: I) -> Self {
        Self {
            io,
            inbox: Inbox::new(),
        }
    }

    /// Whether it can take a request: the server has not closed it, and has said nothing unasked.
    pub(super) fn is_free(&mut self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut byte = [0];
        let read = Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut byte));
        self.inbox.bytes.is_empty() && read.is_pending()
    }

    /// Sends a request and waits for the head of its answer. An answer that comes before the request is
    /// all written ends the writing, and the connection with it.
    pub(super) async fn send<B: Content>(
        &mut self,
        request: &mut Outgoing<B>,
    ) -> Result<Answer, Failed> {
        let mut looked_at = 0;
        let mut broken = None;
        let answered = poll_fn(|cx| {
            if broken.is_none()
                && let Err(error) = request.poll_write(&mut self.io, cx)
            {
                if !request.has_begun() {
                    return Poll::Ready(Err(error));
                }
                // A server that wants no more of it may have said why.
                broken = Some(error);
            }
            self.poll_head(&mut looked_at, cx)
        });
        let answered = answered.await;
        let head = match (answered, broken) {
            (Ok(head), _) => head,
            (Err(error), _) if !request.has_begun() => return Err(Failed::Before(error)),
            (Err(_), Some(error)) | (Err(error), None) => return Err(Failed::After(error)),
        };
        let is_1_0 = head.version == Version::HTTP_10;
        let method = &request.head.method;
        let framing = Framing::of_answer(&head.headers, head.status, method, is_1_0);
        let framing = framing.map_err(|error| Failed::After(invalid(error)))?;
        let keeps_alive = request.is_written()
            && framing != Framing::UntilClose
            && head::keeps_alive(head.version, &head.headers);
        Ok(Answer {
            head,
            decoder: framing.into(),
            keeps_alive,
        })
    }

    /// Reads the head of an answer, and over those that only say that one will come.
    fn poll_head(
        &mut self,
        looked_at: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AnswerHead>> {
        loop {
            let bytes = &mut self.inbox.bytes;
            if bytes.len() > *looked_at {
                match head::take_answer(bytes, *looked_at).map_err(invalid)? {
                    Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                        let error = "it changes to a protocol that was not asked for";
                        return Poll::Ready(Err(invalid(error)));
                    }
                    Some(head) if head.status.is_informational() => {
                        *looked_at = 0;
                        continue;
                    }
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => *looked_at = bytes.len(),
                }
            }
            if ready!(self.inbox.poll_fill(&mut self.io, 0, cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

pub(super) fn invalid(error: impl Into<crate::BoxError>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
