//! An answer's body: whoever reads it moves its connection. When it ends its connection is kept for the next
//! request; when it is dropped before that the connection is closed, which is how a server learns that nobody
//! listens.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Connect;
use super::connection::{Answer, Connection, invalid};
use super::idle::Idle;
use crate::decode::Decoder;

/// Those that wait for the next request.
pub(super) type Connections<C> = Idle<<C as Connect>::Target, Connection<<C as Connect>::Io>>;

/// See the module's header.
pub struct Body<C: Connect> {
    decoder: Decoder,
    /// `None` once it went back or has ended.
    held: Option<Held<C>>,
}

/// A connection and where it belongs.
struct Held<C: Connect> {
    connection: Connection<C::Io>,
    /// Where it goes when the body is read; `None` if it can't be used again.
    home: Option<(Arc<Connections<C>>, C::Target)>,
}

impl<C: Connect> fmt::Debug for Body<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

impl<C: Connect> Body<C> {
    pub(super) fn new(
        answer: &Answer,
        connection: Connection<C::Io>,
        idle: Arc<Connections<C>>,
        target: &C::Target,
    ) -> Self {
        let home = answer.keeps_alive.then(|| (idle, target.clone()));
        let mut body = Self {
            decoder: answer.decoder,
            held: Some(Held { connection, home }),
        };
        body.give_back_if_done();
        body
    }

    /// The answer is read: its connection can take another request. Whether it is fit for one is looked at when
    /// there is one.
    fn give_back_if_done(&mut self) {
        if self.decoder.is_done()
            && let Some(held) = self.held.take()
            && let Some((idle, target)) = held.home
        {
            idle.put(&target, held.connection);
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let Some(Held { connection, .. }) = &mut self.held else {
            return Poll::Ready(Ok(None));
        };
        loop {
            let piece = self.decoder.decode(&mut connection.inbox.bytes);
            if let Some(piece) = piece.map_err(invalid)? {
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.decoder.is_done() {
                return Poll::Ready(Ok(None));
            }
            let expected = self.decoder.expects();
            let filled = connection.inbox.poll_fill(&mut connection.io, expected, cx);
            if ready!(filled)? == 0 {
                return Poll::Ready(match self.decoder.may_close() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                });
            }
        }
    }
}

impl<C: Connect> http_body::Body for Body<C> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let piece = ready!(this.poll_piece(cx));
        match &piece {
            Ok(Some(_)) => this.give_back_if_done(),
            // Over, in good order or not.
            Ok(None) => {
                this.give_back_if_done();
                this.held = None;
            }
            Err(_) => this.held = None,
        }
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.held {
            Some(_) => self.decoder.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}
