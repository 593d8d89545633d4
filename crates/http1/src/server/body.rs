//! A request's body. Nearly always it came with the head; else whoever wants it reads it from the
//! connection, which meanwhile reads nothing itself.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite};

use super::line::Shared;
use crate::decode::Decoder;

/// See the module's header. Dropped before its end, its connection is closed after the answer.
pub struct Body<I> {
    /// What was there with the head.
    first: Option<Bytes>,
    decoder: Decoder,
    /// The client waits for a word before it sends the body.
    expects: bool,
    /// Where the rest comes from; `None` if all is there.
    line: Option<Shared<I>>,
}

impl<I> fmt::Debug for Body<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

impl<I> Body<I> {
    pub(super) fn begin(line: Shared<I>, mut decoder: Decoder, expects: bool) -> Self {
        let mut first = None;
        let mut of_line = line.lock();
        let is_here = match decoder {
            Decoder::Length(length) => of_line.inbox.bytes.len() as u64 >= length,
            _ => decoder.is_done(),
        };
        if is_here {
            // A body with a length can't be malformed.
            first = decoder.decode(&mut of_line.inbox.bytes).unwrap_or(None);
        }
        of_line.is_reading = !is_here;
        drop(of_line);
        Self {
            first,
            decoder,
            expects: expects && !is_here,
            line: (!is_here).then_some(line),
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> http_body::Body for Body<I> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(line) = &this.line else {
            return Poll::Ready(None);
        };
        let mut of_line = line.lock();
        let read = loop {
            match this.decoder.decode(&mut of_line.inbox.bytes) {
                Ok(Some(piece)) => break Some(Ok(piece)),
                Ok(None) if this.decoder.is_done() => break None,
                Ok(None) => {}
                Err(malformed) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, malformed);
                    break Some(Err(error));
                }
            }
            let of_line = &mut *of_line;
            if std::mem::take(&mut this.expects) {
                of_line.outbox.copy(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            if !of_line.outbox.is_empty()
                && let Err(error) = ready!(of_line.poll_flush(cx))
            {
                break Some(Err(error));
            }
            let expected = this.decoder.expects();
            match ready!(of_line.inbox.poll_fill(&mut of_line.io, expected, cx)) {
                Ok(0) => break Some(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => break Some(Err(error)),
            }
        };
        let is_over = match &read {
            Some(Err(_)) => true,
            _ if this.decoder.is_done() => {
                of_line.is_reading = false;
                true
            }
            _ => false,
        };
        drop(of_line);
        if is_over {
            this.line = None;
        }
        Poll::Ready(read.map(|read| read.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.line.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.first {
            Some(first) => SizeHint::with_exact(first.len() as u64),
            None => self.decoder.size_hint(),
        }
    }
}
