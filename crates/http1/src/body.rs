//! An answer's body: whoever reads it moves its connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::driver::Driver;
use crate::idle::Idle;
use crate::{Connect, Content};

/// Those that wait for the next request.
pub(crate) type Drivers<C, B> = Idle<<C as Connect>::Target, Driver<<C as Connect>::Io, B>>;

/// See the module's header.
pub struct Body<C: Connect, B: Content> {
    incoming: Incoming,
    /// `None` once the connection went back or has ended.
    driver: Option<Driver<C::Io, B>>,
    idle: Arc<Drivers<C, B>>,
    target: C::Target,
}

impl<C: Connect, B: Content> fmt::Debug for Body<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl<C: Connect, B: Content> Body<C, B> {
    pub(crate) fn new(
        incoming: Incoming,
        driver: Driver<C::Io, B>,
        idle: Arc<Drivers<C, B>>,
        target: C::Target,
    ) -> Self {
        let mut body = Self {
            incoming,
            driver: Some(driver),
            idle,
            target,
        };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    /// The answer is read: its connection can take another request, if the server lets it.
    fn give_back(&mut self) {
        if let Some(mut driver) = self.driver.take()
            && driver.is_free()
        {
            self.idle.put(&self.target, driver);
        }
    }

    fn next(&mut self) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        // The connection has the waker.
        Pin::new(&mut self.incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
    }
}

impl<C: Connect, B: Content> http_body::Body for Body<C, B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let mut next = this.next();
        if next.is_pending()
            && let Some(driver) = &mut this.driver
        {
            if driver.poll(cx).is_ready() {
                // What it had read is still to be had, and then the end.
                this.driver = None;
            }
            next = this.next();
        }
        match &next {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) if !this.incoming.is_end_stream() => {}
            Poll::Ready(None | Some(Ok(_))) => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.driver = None,
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
