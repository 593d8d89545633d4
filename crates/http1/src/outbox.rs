//! What is to be written: short pieces together in one buffer, long ones as they are, without a copy.
//! Holds no memory once all is written.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Up to this size copying a piece costs less than a place of its own in a vectored write.
const SHORT: usize = 8 << 10;
/// So many pieces go into one write.
const SLICES: usize = 16;
/// More than this is not taken in before some of it is written, bytes: whoever reads slowly is waited for.
const ENOUGH: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Before `tail`.
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
    has_written: bool,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether anything was written yet.
    pub(crate) fn has_written(&self) -> bool {
        self.has_written
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Whether no more should be put in.
    pub(crate) fn is_full(&self) -> bool {
        self.length >= ENOUGH
    }

    /// Copies `piece`.
    pub(crate) fn copy(&mut self, piece: &[u8]) {
        self.tail.extend_from_slice(piece);
        self.length += piece.len();
    }

    /// Takes `piece` as it is if it is long.
    pub(crate) fn put(&mut self, piece: Bytes) {
        if piece.len() <= SHORT {
            return self.copy(&piece);
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.length += piece.len();
        self.pieces.push_back(piece);
    }

    /// Lets something be written by hand to the end of the buffer.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.length += self.tail.len() - before;
    }

    /// Ready when all is written.
    pub(crate) fn poll_flush<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.length > 0 {
            let written = ready!(self.poll_write(io, cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        // Of a TLS stream, whose records may wait.
        ready!(Pin::new(io).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_write<I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(io);
        if self.pieces.is_empty() {
            return io.poll_write(cx, &self.tail);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let all = self.pieces.iter().map(|piece| &piece[..]).chain(tail);
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        io.poll_write_vectored(cx, &slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        self.length -= written;
        self.has_written = true;
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
        self.tail.advance(written);
        if self.length == 0 {
            self.tail = BytesMut::new();
            self.pieces = VecDeque::new();
        }
    }
}
