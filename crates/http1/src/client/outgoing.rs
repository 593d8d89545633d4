//! A request on its way out. It belongs to no connection until something of it is written: where an idle one
//! proves to be closed it goes out on the next, whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, request};
use tokio::io::AsyncWrite;

use super::Content;
use super::connection::invalid;
use crate::encode::Encoder;
use crate::head;
use crate::outbox::Outbox;

#[derive(Debug)]
pub(super) struct Outgoing<B> {
    pub(super) head: request::Parts,
    body: B,
    encoder: Encoder,
    outbox: Outbox,
    /// All of the body is in the outbox.
    is_over: bool,
}

impl<B: Content> Outgoing<B> {
    /// How its body goes out is decided here; what the caller says of it does not count.
    pub(super) fn new(head: request::Parts, body: B) -> Self {
        let (encoder, length) = match body.size_hint().exact() {
            Some(0) if matches!(head.method, Method::GET | Method::HEAD | Method::DELETE) => {
                (Encoder::Length(0), None)
            }
            Some(length) => (Encoder::Length(length), Some(length)),
            None => (Encoder::Chunked, None),
        };
        let mut outbox = Outbox::default();
        outbox.write(|to| {
            head::write_request_line(to, &head.method, &head.uri);
            let of_hop = [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH];
            head::write_headers(to, &head.headers, &of_hop);
            if let Some(length) = length {
                head::write_number(to, "content-length", length);
            }
            if encoder == Encoder::Chunked {
                head::write_header(to, "transfer-encoding", b"chunked");
            }
            to.extend_from_slice(b"\r\n");
        });
        Self {
            is_over: length.unwrap_or(0) == 0 && encoder != Encoder::Chunked,
            head,
            body,
            encoder,
            outbox,
        }
    }

    /// Writes as much as can be written now.
    pub(super) fn poll_write<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        loop {
            // First what there is, then one write of it all.
            let is_asleep = self.poll_body(cx)?;
            if self.outbox.is_empty() {
                return Ok(());
            }
            match self.outbox.poll_flush(io, cx) {
                Poll::Ready(written) => written?,
                Poll::Pending => return Ok(()),
            }
            if self.is_over || is_asleep {
                return Ok(());
            }
        }
    }

    /// Takes what there is of the body. Whether more is waited for.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while !self.is_over && !self.outbox.is_full() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(true),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        let put = self.encoder.piece(piece, &mut self.outbox);
                        put.map_err(invalid)?;
                    }
                    self.is_over = self.body.is_end_stream();
                }
                Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
                Poll::Ready(None) => self.is_over = true,
            }
            if self.is_over {
                self.encoder.end(&mut self.outbox).map_err(invalid)?;
            }
        }
        Ok(false)
    }

    /// Whether something of it was written.
    pub(super) fn has_begun(&self) -> bool {
        self.outbox.has_written()
    }

    pub(super) fn is_written(&self) -> bool {
        self.is_over && self.outbox.is_empty()
    }
}
